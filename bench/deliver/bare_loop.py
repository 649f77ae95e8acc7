"""The baseline for delivering videos: download each to the disk, then upload it, several at a time.

`python -m bench.deliver.bare_loop` reads its work as JSON from standard input and prints the seconds that it
took. Unlike the bot, it checks and stores nothing, and a kill loses its work.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

_CHUNK = 1 << 20


async def _carry(work: dict[str, Any]) -> float:
    """Deliver all videos, and return the seconds.

    `work`: the address `api`, the `token`, the limits `at_once` and `uploads`, and `videos` as pairs of
    address and channel id.
    """
    began = time.perf_counter()
    waiting = iter(work["videos"])
    uploads = asyncio.Semaphore(work["uploads"])
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:

            async def deliver() -> None:
                for url, channel_id in waiting:
                    path = Path(folder) / f"{channel_id}.mp4"
                    await _download(session, url, path)
                    async with uploads:
                        await _upload(session, work, channel_id, path)
                    path.unlink()

            await asyncio.gather(*(deliver() for _ in range(work["at_once"])))
    return time.perf_counter() - began


async def _download(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    async with session.get(url) as response:
        with path.open("wb") as file:
            async for chunk in response.content.iter_chunked(_CHUNK):
                file.write(chunk)


async def _upload(session: aiohttp.ClientSession, work: dict[str, Any], channel_id: int, path: Path) -> None:
    with path.open("rb") as file:
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps({"content": "here it is"}))
        form.add_field("files[0]", file, filename=path.name, content_type="application/octet-stream")
        headers = {"Authorization": f"Bot {work['token']}"}
        url = f"{work['api']}/channels/{channel_id}/messages"
        async with session.post(url, data=form, headers=headers) as response:
            response.raise_for_status()
            await response.read()


if __name__ == "__main__":
    print(asyncio.run(_carry(json.loads(sys.stdin.read()))))
