"""Why there was no answer, in words: errors as the system and aiohttp raise them."""

import errno
import socket
import ssl

import aiohttp
import pytest

from bot.network_errors import describe_network_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection reset"),
        (OSError(errno.ENETUNREACH, "x"), "no way to that network"),
        (OSError(errno.ENOSPC, "x"), "No space left on device"),
        (OSError("Multiple exceptions: [Errno 111] Connect call, [Errno 111] Connect"), "connection refused"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "no answer in time"),
        (aiohttp.ServerTimeoutError("x"), "no answer in time"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name not found"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "the name server does not answer"),
        (aiohttp.ServerDisconnectedError(), "connection closed without an answer"),
        (aiohttp.ClientPayloadError("x"), "connection closed in the middle of the answer"),
        (ssl.SSLError(1, "wrong version number"), "no encrypted connection"),
        (ValueError("https://h/?key=secret"), "an answer that nobody can read"),
    ],
)
def test_error_is_told_in_words(error: Exception, words: str):
    """Neither its class nor an address, which may hold a secret."""
    assert describe_network_error(error) == words


async def test_name_that_nobody_has_is_told():
    """As aiohttp wraps it."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get("http://no-such-host.invalid/")

    assert describe_network_error(raised.value) in ("name not found", "the name server does not answer")


async def test_timeout_of_a_call_is_told():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await session.get("http://127.0.0.1:1/")

    assert describe_network_error(raised.value, timeout=20) == "connection refused"
    assert describe_network_error(TimeoutError(), timeout=20) == "no answer within 20 s"
