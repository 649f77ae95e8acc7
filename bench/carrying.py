"""The least that carrying videos takes: download to the disk, then upload, so many at a time.

`python -m bench.carrying` reads what to carry as JSON from its standard input, and says how many seconds
it took. The bot checks and remembers beside it, and may be killed at any moment.
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


async def _carry(what: dict[str, Any]) -> float:
    """`what` names the API's address, the token, how many at a time, and pairs of video and channel."""
    began = time.perf_counter()
    waiting = iter(what["videos"])
    uploads = asyncio.Semaphore(what["uploads"])
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:

            async def work() -> None:
                for url, channel_id in waiting:
                    path = Path(folder) / f"{channel_id}.mp4"
                    await _download(session, url, path)
                    async with uploads:
                        await _upload(session, what, channel_id, path)
                    path.unlink()

            await asyncio.gather(*(work() for _ in range(what["at_once"])))
    return time.perf_counter() - began


async def _download(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    async with session.get(url) as response:
        with path.open("wb") as file:
            async for chunk in response.content.iter_chunked(_CHUNK):
                file.write(chunk)


async def _upload(session: aiohttp.ClientSession, what: dict[str, Any], channel_id: int, path: Path) -> None:
    with path.open("rb") as file:
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps({"content": "here it is"}))
        form.add_field("files[0]", file, filename=path.name, content_type="application/octet-stream")
        headers = {"Authorization": f"Bot {what['token']}"}
        url = f"{what['api']}/channels/{channel_id}/messages"
        async with session.post(url, data=form, headers=headers) as response:
            response.raise_for_status()
            await response.read()


if __name__ == "__main__":
    print(asyncio.run(_carry(json.loads(sys.stdin.read()))))
