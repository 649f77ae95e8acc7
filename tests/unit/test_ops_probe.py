"""The container's health check, run as Docker runs it."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import web

from bot.ops.http import BoundedServer, serving

ROOT = Path(__file__).parents[2]


async def probed(**environment: str) -> tuple[int | None, str]:
    """Run the Dockerfile's command in its folder with this environment."""
    found = re.search(r"^    CMD \[(.+)\]$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    _, *arguments = re.findall(r'"([^"]+)"', found[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stderr=PIPE,
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def alive() -> web.Response:
    return web.Response(text="ok\n")


async def dead() -> web.Response:
    return web.Response(status=500)


@pytest.mark.parametrize("environment", [{}, {"HTTP_PORT": ""}])
async def test_container_without_http_port_is_healthy(environment: dict[str, str]):
    assert await probed(**environment) == (0, "")


@pytest.mark.parametrize(
    ("listens_on", "setting"),
    [("127.0.0.1", {}), ("0.0.0.0", {"HTTP_HOST": "0.0.0.0"}), ("127.0.0.2", {"HTTP_HOST": "127.0.0.2"})],
)
async def test_process_that_answers_livez_is_healthy(port: int, listens_on: str, setting: dict[str, str]):
    async with serving(BoundedServer({"/livez": alive}), listens_on, port):
        assert await probed(HTTP_PORT=str(port), **setting) == (0, "")


async def test_process_that_does_not_answer_is_unhealthy(port: int):
    code, said = await probed(HTTP_PORT=str(port))
    assert (code, said[: said.index(":")]) == (1, f"no answer from HTTP_PORT {port}")

    async with serving(BoundedServer({"/livez": dead}), "127.0.0.1", port):
        assert await probed(HTTP_PORT=str(port)) == (1, f"HTTP_PORT {port} answers 500\n")
