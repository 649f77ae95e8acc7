"""Describes network errors in plain words, without a Python class and without an address."""

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
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
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
    """Return a few words for a log line or a command's output. `timeout` in seconds is the call's."""
    # aiohttp wraps the system's error.
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
    return _BY_NAME.get(type(error).__name__, "an unreadable answer")


def _number(error: OSError) -> int | None:
    """Return the system's error number; of several attempts at one name, the last one's."""
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
