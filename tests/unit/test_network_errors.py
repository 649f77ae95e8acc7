"""The sentence for each network error, as raised by the system and by aiohttp."""

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
        (OSError(errno.ENETUNREACH, "x"), "no route to the network"),
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
        (ValueError("https://h/?key=secret"), "an unreadable answer"),
    ],
)
def test_network_error_has_a_sentence(error: Exception, words: str):
    """Without class names and without addresses, because an address may hold a secret."""
    assert describe_network_error(error) == words


async def test_unknown_name_has_a_sentence():
    """As aiohttp wraps the error."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as raised:
            await session.get("http://no-such-host.invalid/")

    assert describe_network_error(raised.value) in ("name not found", "the name server does not answer")


async def test_timeout_has_a_sentence():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await session.get("http://127.0.0.1:1/")

    assert describe_network_error(raised.value, timeout=20) == "connection refused"
    assert describe_network_error(TimeoutError(), timeout=20) == "no answer within 20 s"
