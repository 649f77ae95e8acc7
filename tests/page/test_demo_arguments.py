"""`python -m demo` answers a wrong argument with a sentence, and needs no browser for that."""

import asyncio
import sys

import pytest


@pytest.mark.parametrize(
    ("port", "sentence"),
    [
        ("99999", "99999 is no port: it must be a number from 0 to 65535"),
        ("-1", "-1 is no port: it must be a number from 0 to 65535"),
        ("http", "http is no port: it must be a number from 0 to 65535"),
    ],
)
async def test_port_that_cannot_be(port: str, sentence: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "demo", "--port", port, stdout=-1, stderr=-1
    )
    printed, complained = await process.communicate()

    assert process.returncode == 2
    assert printed == b""
    assert sentence in complained.decode()
    assert "Traceback" not in complained.decode()
