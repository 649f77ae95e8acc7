"""Why there was no answer over the network, in plain words: neither a class of Python nor an address."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Final

_WORDS: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "no way to that host",
    errno.ENETUNREACH: "no way to that network",
    errno.EMFILE: "too many open files",
}
# aiohttp's own errors, by name: this module is below those that know aiohttp.
_BY_NAME: Final[Mapping[str, str]] = {
    "ServerDisconnectedError": "connection closed without an answer",
    "ClientPayloadError": "connection closed in the middle of the answer",
    "TooManyRedirects": "too many redirects",
    "InvalidURL": "not an address",
    "InvalidUrlClientError": "not an address",
}
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


def describe_network_error(error: BaseException, *, timeout: float | None = None) -> str:
    """A few words for a line of a log or of a command. `timeout` in seconds is that of the call."""
    # aiohttp wraps what the system said.
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, socket.gaierror):
        return _name_words(cause)
    if isinstance(cause, ssl.SSLError):
        return _tls_words(cause)
    if isinstance(cause, TimeoutError) and not cause.errno:
        return "no answer in time" if timeout is None else f"no answer within {timeout:g} s"
    if isinstance(cause, OSError) and (number := _number(cause)):
        return _WORDS.get(number, os.strerror(number))
    if (status := getattr(error, "status", None)) is not None:
        return f"HTTP {status}"
    return _BY_NAME.get(type(error).__name__, "an answer that nobody can read")


def _number(error: OSError) -> int | None:
    """The system's number; of several attempts at one name, that of the last."""
    found = _ERRNO.findall(str(error))
    return error.errno or (int(found[-1]) if found else None)


def _name_words(error: socket.gaierror) -> str:
    if error.errno == socket.EAI_AGAIN:
        return "the name server does not answer"
    return "name not found"


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message.rstrip('.')}"
    return "no encrypted connection"
