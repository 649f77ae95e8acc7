"""A process without a free file handle logs little and recovers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in a separate process, because it uses up every file handle.
SCRIPT = """
import asyncio, contextlib, os, resource, socket
from aiohttp import web
from bot.logs import logging_to_stderr
from bot.ops.http import BoundedServer, serving

async def page():
    return web.Response(text="here")

async def main():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    loop = asyncio.get_running_loop()
    async with serving(BoundedServer({"/page": page}), "127.0.0.1", port):
        clients = [socket.socket() for _ in range(40)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for client in clients:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
        began = loop.time()
        while loop.time() < began + 3:
            await asyncio.sleep(0.1)
        for file in taken:
            os.close(file)
        await loop.sock_sendall(clients[-1], b"GET /page HTTP/1.1\\r\\nHost: bot\\r\\n\\r\\n")
        async with asyncio.timeout(10):
            print((await loop.sock_recv(clients[-1], 4096)).decode())
        for client in clients:
            client.close()

with logging_to_stderr("INFO", "console", []):
    asyncio.run(main())
"""


def test_process_without_file_handles_logs_it_once_a_minute_and_recovers():
    """Without the limit there was a traceback for each try, and a log of a hundred megabytes."""
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, timeout=30
    )

    assert said.returncode == 0, said.stderr[-2000:]
    assert "here" in said.stdout
    assert said.stderr.count("HTTP_PORT takes no connection for now: Too many open files") == 1
    assert len(said.stderr) < 1000
