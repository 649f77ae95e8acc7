"""A download that was broken off goes on where it was, if it is still the same file."""

import asyncio
import errno
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import DownloadInterrupted, LinkRefused, VideoUnusable
from bot.media.disk_space import DiskSpace
from bot.media.part_file import PartFile, Representation, part_paths
from sandbox.video_api import CLIP, BodyFault, Clip, Fault
from tests.download_env import ID, MIB, VIDEO, WHOLE, DownloadEnv, download_env
from tests.system_calls import FLOCK, ON_LINUX, in_child, refuse_calls

SIZE = CLIP.size
CUT = SIZE * 6 // 10
# As long as the clip, and another film.
OTHER = Clip(CLIP.content[:-1] + bytes([CLIP.content[-1] ^ 1]))


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[DownloadEnv]:
    async with download_env(tmp_path) as env:
        yield env


async def cut(env: DownloadEnv, at: int = CUT, **options: Any) -> DownloadInterrupted:
    """One try that ends after `at` bytes."""
    env.api.faults.add(BodyFault(cut_at=at, **options))
    with pytest.raises(DownloadInterrupted) as caught:
        await env.fetch()
    return caught.value


async def test_download_goes_on_where_it_was(env: DownloadEnv):
    """C5: cut at 60 % each time, the host knows Range: the second try asks for the rest alone."""
    error = await cut(env)
    assert error.progressed
    assert env.files == {"video.mp4.part", "video.mp4.part.json"}

    assert await env.fetch() == WHOLE

    assert env.digest() == CLIP.sha256
    assert env.files == {"video.mp4"}
    assert env.asked == [None, f"bytes={CUT}-"]
    assert env.downloads[1].headers["If-Range"] == CLIP.etag
    assert [(download.status, download.bytes_sent) for download in env.downloads] == [
        (200, CUT),
        (206, SIZE - CUT),
    ]


async def test_download_that_is_cut_again_and_again_arrives(env: DownloadEnv):
    """Each try brings a little more, and no byte is sent twice."""
    env.api.faults.add(BodyFault(cut_at=SIZE // 5 - 1, times=None))
    for _ in range(5):
        with pytest.raises(DownloadInterrupted) as caught:
            await env.fetch()
        assert caught.value.progressed
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert sum(download.bytes_sent for download in env.downloads) == SIZE


@pytest.mark.parametrize("at", [1, 4, 7, 8, SIZE - 1])
async def test_cut_at_an_edge_is_gone_on_with(env: DownloadEnv, at: int):
    """Also within the first bytes, which tell an MP4: too few of them are not kept."""
    await cut(env, at)
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert env.asked == [None, f"bytes={at}-" if at >= 8 else None]


async def test_date_is_a_validator_where_there_is_no_etag(env: DownloadEnv):
    """RFC 9110, 13.1.5."""
    await cut(env, validator="date")
    env.api.faults.add(BodyFault(validator="date"))
    assert await env.fetch() == WHOLE
    assert env.downloads[1].headers["If-Range"].endswith("GMT")
    assert [download.status for download in env.downloads] == [200, 206]


@pytest.mark.parametrize(
    "options",
    [
        {"validator": "none"},
        {"validator": "weak"},
        {"validator": "date", "extra": {"Date": "Thu, 09 Oct 2025 08:53:20 GMT"}},  # of the same second
        {"validator": "date", "extra": {"Last-Modified": "soon"}},
        {"extra": {"ETag": "bare"}},
    ],
)
async def test_file_without_a_strong_validator_is_begun_anew(env: DownloadEnv, options: dict[str, Any]):
    """Nothing could tell whether the rest belongs to what is here."""
    error = await cut(env, **options)
    assert error.progressed
    assert env.files == set()
    assert await env.fetch() == WHOLE
    assert env.asked == [None, None]


async def test_host_that_does_not_know_range_sends_all_anew(env: DownloadEnv):
    """Its 200 is taken, without a third request."""
    await cut(env)
    env.api.faults.add(BodyFault(ignores_range=True))
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert [download.status for download in env.downloads] == [200, 200]


async def test_another_file_under_the_same_link_is_begun_anew(env: DownloadEnv):
    """If-Range makes the host send it whole."""
    await cut(env)
    env.serve(OTHER)
    assert await env.fetch() == WHOLE
    assert env.digest() == OTHER.sha256
    assert [download.status for download in env.downloads] == [200, 200]


@pytest.mark.parametrize("other", [OTHER, Clip.padded(SIZE + 1000)], ids=["same length", "longer"])
async def test_host_that_ignores_if_range_cannot_mix_two_files(env: DownloadEnv, other: Clip):
    """Its 206 names another version: all is asked for again, in the same try."""
    await cut(env)
    env.serve(other)
    env.api.faults.add(BodyFault(ignores_if_range=True))
    assert (await env.fetch()).size == other.size
    assert env.digest() == other.sha256
    assert env.asked == [None, f"bytes={CUT}-", None]


@pytest.mark.parametrize(
    "extra",
    [
        {"Content-Range": None},
        {"Content-Range": f"bytes 0-{CUT}/{SIZE}"},
        {"Content-Range": f"bytes {CUT + 1}-{SIZE - 1}/{SIZE}"},
        {"Content-Range": f"bytes {CUT}-{SIZE - 1}/{SIZE + 1}"},
        {"Content-Range": "bytes */*"},
        {"ETag": None},
    ],
)
async def test_rest_that_does_not_fit_is_not_taken(env: DownloadEnv, extra: dict[str, str | None]):
    """Not from this byte, of another length, or of a version that is not named."""
    await cut(env)
    env.api.faults.add(BodyFault(extra=extra))
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert env.asked == [None, f"bytes={CUT}-", None]


async def test_whole_file_as_a_206_is_taken(env: DownloadEnv):
    """Asked for the rest, the host sends a range that is all."""
    await cut(env)
    env.api.faults.add(BodyFault(ignores_range=True, video_status=206))
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256


async def test_host_may_send_less_than_was_asked_for(env: DownloadEnv):
    """RFC 9110, 15.3.7: the rest is for the next try."""
    await cut(env)
    env.api.faults.add(
        BodyFault(
            claim=1000,
            cut_at=1000,
            extra={"Content-Range": f"bytes {CUT}-{CUT + 999}/{SIZE}"},
        )
    )
    with pytest.raises(DownloadInterrupted, match=f"sent {CUT + 1000} of {SIZE} bytes") as caught:
        await env.fetch()
    assert caught.value.progressed
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert env.asked[2] == f"bytes={CUT + 1000}-"


@pytest.mark.parametrize("status", [400, 412, 416])
async def test_refusal_that_can_be_about_the_range_is_tried_without_one(env: DownloadEnv, status: int):
    """At once, in the same try."""
    await cut(env)
    env.api.faults.add(Fault(VIDEO, status=status))
    assert await env.fetch() == WHOLE
    assert env.asked == [None, f"bytes={CUT}-", None]


@pytest.mark.parametrize("fault", [Fault(VIDEO, status=403), Fault(VIDEO, status=200, body="<html>")])
async def test_refusal_keeps_the_part(env: DownloadEnv, fault: Fault):
    """A new link may lead to the same file."""
    await cut(env)
    env.api.faults.add(fault)
    with pytest.raises(LinkRefused) as caught:
        await env.fetch()
    assert not caught.value.progressed
    assert await env.fetch() == WHOLE
    assert env.asked == [None, f"bytes={CUT}-", f"bytes={CUT}-"]


async def test_new_signature_is_the_same_link(env: DownloadEnv):
    """The query is not part of what a link is known by."""
    env.api.faults.add(BodyFault(cut_at=CUT, validator="date"), BodyFault(validator="date"))
    with pytest.raises(DownloadInterrupted):
        await env.fetch(f"{env.link}?X-Sig=one")
    assert await env.fetch(f"{env.link}?X-Sig=two") == WHOLE
    assert env.asked == [None, f"bytes={CUT}-"]


@pytest.mark.parametrize(("validator", "asked"), [("etag", f"bytes={CUT}-"), ("date", None)])
async def test_fresh_link_to_the_same_file_goes_on_by_its_etag_alone(
    env: DownloadEnv, validator: Any, asked: str | None
):
    """Two files may be of the same second; two files with one strong ETag are one."""
    await cut(env, validator=validator)
    env.api.create("vgen_fresh").complete()
    env.api.faults.add(BodyFault(validator=validator))
    assert await env.fetch(env.link.replace(ID, "vgen_fresh")) == WHOLE
    assert env.asked == [None, asked]
    assert env.digest() == CLIP.sha256


async def test_fresh_link_to_another_file_is_begun_anew(env: DownloadEnv):
    """Its host does not know the ETag."""
    await cut(env)
    env.api.create("vgen_fresh").complete(OTHER)
    assert await env.fetch(env.link.replace(ID, "vgen_fresh")) == WHOLE
    assert env.digest() == OTHER.sha256


async def test_part_that_lacks_nothing_is_confirmed_by_its_last_byte(env: DownloadEnv):
    """Killed between the last byte and the new name."""
    await cut(env, SIZE - 1)
    with env.part.open("ab") as file:
        file.write(CLIP.content[-1:])
    assert await env.fetch() == WHOLE
    assert env.asked == [None, f"bytes={SIZE - 1}-"]
    assert env.digest() == CLIP.sha256


@pytest.mark.parametrize("damage", ["no sidecar", "not json", "not an object", "wrong types", "too long"])
async def test_damaged_part_is_begun_anew(env: DownloadEnv, damage: str):
    """What is on the disk may be of another version of this program, or half written."""
    await cut(env)
    sidecar = part_paths(env.target)[1]
    known = json.loads(sidecar.read_text())
    match damage:
        case "no sidecar":
            sidecar.unlink()
        case "not json":
            sidecar.write_bytes(b'{"link": "\xff')
        case "not an object":
            sidecar.write_text("[]")
        case "wrong types":
            sidecar.write_text(json.dumps(known | {"length": "long"}))
        case _:
            sidecar.write_text(json.dumps(known | {"length": 10}))
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256
    assert env.asked == [None, None]


async def test_limit_holds_for_the_whole_with_what_was_there(env: DownloadEnv):
    """MAX_VIDEO_BYTES bounds all bytes together; nothing stays."""
    env.serve(Clip.padded(2 * MIB))
    env.api.faults.add(
        BodyFault(cut_at=MIB, chunked=True), BodyFault(chunked=True, extra={"Content-Range": None})
    )
    with pytest.raises(DownloadInterrupted):
        await env.fetch()
    env.options = {"max_bytes": 2 * MIB - 1}
    with pytest.raises(VideoUnusable, match="video_too_large"):
        await env.fetch()
    assert env.files == set()


async def test_progress_tells_all_bytes_that_are_here(env: DownloadEnv):
    """Also those of an earlier try, before the first new one."""
    await cut(env)
    seen: list[int] = []
    await env.fetch(on_progress=seen.append)
    assert seen[0] == CUT
    assert seen[-1] == SIZE
    assert seen == sorted(seen)


@pytest.mark.parametrize("error", [RuntimeError("enough"), TimeoutError("enough"), OSError("enough")])
async def test_progress_may_break_the_download_off(env: DownloadEnv, error: Exception):
    """Every exception passes through, and the part stays."""
    env.api.faults.add(BodyFault(chunk=SIZE // 10))

    def enough(received: int) -> None:
        if received > SIZE // 2:
            raise error

    with pytest.raises(type(error)) as caught:
        await env.fetch(on_progress=enough)
    assert caught.value is error
    here = env.part.stat().st_size
    assert here > SIZE // 2
    assert await env.fetch() == WHOLE
    # All of it may have come: then its last byte is asked for.
    assert env.asked == [None, f"bytes={min(here, SIZE - 1)}-"]


async def test_cancelled_download_goes_on(env: DownloadEnv):
    """As at the end of the process."""
    hold = env.api.hold(VIDEO, point="half")
    arrived = asyncio.Event()
    job = asyncio.create_task(
        env.fetch(on_progress=lambda received: arrived.set() if received == SIZE // 2 else None)
    )
    await hold.reached()
    await arrived.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await env.fetch() == WHOLE
    assert env.asked == [None, f"bytes={SIZE // 2}-"]


async def test_two_downloads_never_write_one_part(env: DownloadEnv):
    """The second has another part, because the process of the first may be frozen."""
    hold = env.api.hold(VIDEO, point="half")
    first = asyncio.create_task(env.fetch())
    await hold.reached()
    second = asyncio.create_task(env.fetch())
    await env.api.until(lambda: len(env.downloads) == 2)
    hold.release()
    assert list(await asyncio.gather(first, second)) == [WHOLE, WHOLE]
    assert env.digest() == CLIP.sha256
    assert env.asked == [None, None]
    assert env.files == {"video.mp4"}


async def test_existing_video_is_downloaded_again_whole(env: DownloadEnv):
    """The lock of a finished download is gone with its part."""
    assert await env.fetch() == WHOLE
    env.target.write_bytes(b"damaged")
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256


PROCESS = """
import asyncio, pathlib, sys
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader, open_download_session

async def main(url, target):
    async with open_download_session(allow_loopback=True) as session:
        downloader = VideoDownloader(session=session, max_bytes=1 << 30, allow_loopback=True)
        await downloader.fetch(url, pathlib.Path(target), timeout=60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_part_of_a_killed_process_is_gone_on_with(env: DownloadEnv):
    """What it had written by then is not asked for again."""
    clip = env.serve(Clip.padded(8 * MIB))
    env.api.faults.add(BodyFault(stall_at=5 * MIB))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, env.link, str(env.target))
    try:
        await env.api.until(lambda: env.part.exists() and env.part.stat().st_size >= 4 * MIB)
    finally:
        process.kill()
        await process.wait()
    here = env.part.stat().st_size

    assert (await env.fetch()).size == clip.size

    assert env.digest() == clip.sha256
    assert env.asked == [None, f"bytes={here}-"]


async def test_length_that_only_the_rest_tells_is_checked(env: DownloadEnv):
    """Begun in chunks without a length; the 206 names it."""
    await cut(env, chunked=True)
    env.api.faults.add(BodyFault(cut_at=100, chunked=True))
    with pytest.raises(DownloadInterrupted):
        await env.fetch()
    assert json.loads(part_paths(env.target)[1].read_text())["length"] == SIZE
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256


async def test_rest_may_not_be_longer_than_the_file(env: DownloadEnv):
    """A chunked rest that goes on and on: nothing of it is kept."""
    await cut(env)
    longer = replace(CLIP, content=CLIP.content + b"more")
    env.serve(longer)
    extra = {"ETag": CLIP.etag, "Content-Range": f"bytes {CUT}-{SIZE - 1}/{SIZE}"}
    env.api.faults.add(BodyFault(ignores_if_range=True, chunked=True, extra=extra))
    with pytest.raises(DownloadInterrupted, match=f"sent {SIZE + 4} of {SIZE} bytes"):
        await env.fetch()
    assert env.files == set()


@ON_LINUX
@pytest.mark.parametrize("failure", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_download_where_nothing_can_be_locked_has_a_part_of_its_own(tmp_path: Path, failure: int):
    """It cannot be resumed then, and is whole all the same."""
    target = tmp_path / "v.mp4"

    async def keep() -> int:
        async with PartFile(target, DiskSpace()) as part:
            await part.begin(Representation("link", '"etag"', None), 0)
            await part.write(CLIP.content)
            return (await part.keep()).size

    def without_locks() -> int:
        refuse_calls(FLOCK, failure)
        return asyncio.run(keep())

    assert in_child(without_locks) == str(len(CLIP.content))
    assert target.read_bytes() == CLIP.content
