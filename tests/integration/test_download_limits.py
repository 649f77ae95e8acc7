"""What ends a download, and what never does: time, speed, the disk, addresses, odd answers, odd links."""

import asyncio
import itertools
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.core.errors import DownloadFailed, DownloadInterrupted, LinkRefused, StorageUnavailable
from bot.core.problems import Problem, ProblemCode
from bot.media.disk_space import DiskSpace
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader, open_download_session
from bot.veo.look_up import SystemResolver
from bot.veo.public_address import PublicResolver
from sandbox.patience import PATIENCE
from sandbox.video_api import CLIP, BodyFault, Clip, Fault
from tests.download_env import LIMITS, MIB, VIDEO, WHOLE, DownloadEnv, download_env, raw_host
from tests.timing import hurried, loop_time_by_hand


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[DownloadEnv]:
    async with download_env(tmp_path) as env:
        yield env


async def refused(env: DownloadEnv, url: str | None = None, **options: float) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        await env.fetch(url, **options)
    return caught.value


async def refused_hurried(env: DownloadEnv, timeout: float = 3600) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        await env.fetch_hurried(timeout=timeout)
    return caught.value


# -- time and speed --------------------------------------------------------------------------------


async def test_endless_100_continue_ends_with_the_time_for_the_headers(env: DownloadEnv):
    """C2: aiohttp skips any number of them, and each would begin its silence anew."""
    env.api.faults.add(BodyFault(continues=10**9, pause=0.01))
    error = await refused_hurried(env)
    assert isinstance(error, DownloadInterrupted)
    assert not error.progressed


async def test_some_100_continue_are_skipped(env: DownloadEnv):
    """As RFC 9110, 15.2 asks."""
    env.api.faults.add(BodyFault(continues=3000))
    assert await env.fetch() == WHOLE


async def test_headers_that_drip_end_as_well(env: DownloadEnv):
    """A byte now and then is no silence."""
    begun = asyncio.Event()

    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        begun.set()
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(5)

    async with raw_host(drip) as url:
        with pytest.raises(DownloadInterrupted):
            await hurried(env.fetch(url), all_came=begun.is_set)


async def test_redirects_share_the_time_for_the_headers(env: DownloadEnv):
    """Five hops of almost the limit each are beyond it."""
    env.api.faults.add(Fault(VIDEO, status=302, headers={"Location": env.link}, delay=20, times=5))
    await refused_hurried(env)
    assert len(env.downloads) == 2


async def test_host_that_is_too_slow_is_broken_off_and_gone_on_with(env: DownloadEnv):
    """C1: never silent for long, and below the least speed; what came is kept."""
    env.api.faults.add(BodyFault(chunk=2_000, pause=1))
    error = await refused_hurried(env)
    assert f"slower than {LIMITS.least_speed} bytes/s" in str(error)
    assert error.progressed
    here = env.part.stat().st_size
    assert 0 < here < CLIP.size

    assert await env.fetch() == WHOLE
    assert env.asked == [None, f"bytes={here}-"]


async def test_host_that_grows_slow_is_broken_off(env: DownloadEnv):
    """A fast beginning does not pay for the rest: any window counts, not the average so far."""
    env.limits = replace(LIMITS, least_speed=10_000)
    sent = received = 0

    def note(size: int) -> None:
        nonlocal received
        received = size

    async def slow_down(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {CLIP.size}\r\n\r\n".encode())
        nonlocal sent
        for first, last in itertools.pairwise([0, *range(200_000, CLIP.size)]):
            writer.write(CLIP.content[first:last])
            sent = last
            await writer.drain()
            await asyncio.sleep(1)

    async with raw_host(slow_down) as url:
        fetching = env.fetch(url, timeout=3600, on_progress=note)
        with pytest.raises(DownloadInterrupted, match="slower than"):
            await hurried(fetching, all_came=lambda: 0 < sent <= received)


async def test_steady_host_just_above_the_least_speed_is_waited_for(env: DownloadEnv):
    """However long it takes in all."""
    env.limits = replace(LIMITS, speed_window=20, least_speed=4096)
    env.api.faults.add(BodyFault(chunk=5_000, pause=1))
    assert await env.fetch_hurried() == WHOLE
    assert CLIP.size / 5_000 > 2 * env.limits.speed_window


async def test_download_ends_with_its_link(env: DownloadEnv):
    """The caller's time is the end, though the host is quick enough; what came is kept."""
    env.limits = replace(LIMITS, least_total=10, least_speed=4096)
    env.api.faults.add(BodyFault(chunk=5_000, pause=1))
    error = await refused_hurried(env, timeout=30)
    assert "its link has ended" in str(error)
    assert error.progressed
    assert 20 * 5_000 < env.part.stat().st_size < CLIP.size


async def test_one_try_is_made_although_the_link_has_ended(env: DownloadEnv):
    """The end is what the API said; perhaps the host knows better."""
    assert await env.fetch(timeout=-5) == WHOLE


async def test_time_that_our_disk_takes_is_not_the_hosts(env: DownloadEnv):
    """A reader that stops longer than the window is no slow host."""
    env.api.faults.add(BodyFault(chunk=CLIP.size // 4))
    with loop_time_by_hand() as advance:
        assert await env.fetch(timeout=3600, on_progress=lambda _: advance(100)) == WHOLE


# -- answers (C3, C4) ------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", {"error": "not yet"}, "<html>soon</html>"])
async def test_first_200_that_is_no_video_is_no_end(env: DownloadEnv, body: object):
    """C3: the second one has the MP4."""
    env.api.faults.add(Fault(VIDEO, status=200, body=body))
    error = await refused(env)
    assert isinstance(error, LinkRefused)
    assert error.problem == Problem(ProblemCode.NOT_AN_MP4)
    assert await env.fetch() == WHOLE


@pytest.mark.parametrize("status", [203, 206])
async def test_unasked_206_with_everything_and_203_are_fine(env: DownloadEnv, status: int):
    """C4: a cache or a proxy answers like this."""
    env.api.faults.add(BodyFault(video_status=status))
    assert await env.fetch() == WHOLE
    assert env.digest() == CLIP.sha256


async def test_unasked_206_that_does_not_say_what_it_holds_is_judged_by_the_file(env: DownloadEnv):
    """All boxes are there."""
    env.api.faults.add(BodyFault(video_status=206, extra={"Content-Range": None}))
    assert await env.fetch() == WHOLE


async def test_unasked_part_is_refused(env: DownloadEnv):
    """Nothing says what comes after it."""
    env.api.faults.add(BodyFault(video_status=206, extra={"Content-Range": f"bytes 0-99/{CLIP.size}"}))
    assert isinstance(await refused(env), LinkRefused)


async def test_wrong_certificate_is_an_interruption(env: DownloadEnv):
    """C4: plain HTTP where TLS is expected fails in the handshake, like a certificate does."""
    error = await refused(env, env.link.replace("http:", "https:"))
    assert isinstance(error, DownloadInterrupted)
    assert not error.progressed


@pytest.mark.parametrize("reason", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_unknown_name_is_an_interruption(env: DownloadEnv, reason: int):
    """C4: a name server may be down, or know the name tomorrow."""

    def getaddrinfo(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(reason, "no")

    async with resolving(SystemResolver(getaddrinfo=getaddrinfo)) as session:
        env.session = session
        assert isinstance(await refused(env, "http://cdn.example/v.mp4"), DownloadInterrupted)


# -- names (C8, C9) --------------------------------------------------------------------------------


class FixedResolver(AbstractResolver):
    """Gives every name one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


def resolving(inner: AbstractResolver, *networks: str) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    allowed = tuple(ip_network(network) for network in networks)
    resolver = PublicResolver(allow_loopback=False, networks=allowed, inner=inner)
    return open_download_session(allow_loopback=False, resolver=resolver)


async def test_made_up_address_is_refused_and_told_once(env: DownloadEnv, caplog: pytest.LogCaptureFixture):
    """C8: fake-ip DNS. The log names the host, the address and the setting; a later try may be answered."""
    async with resolving(FixedResolver("198.18.0.7")) as session:
        env.session = session
        with caplog.at_level(logging.WARNING):
            errors = [await refused(env, "http://cdn.example/v.mp4") for _ in range(3)]
    assert all(isinstance(error, LinkRefused) for error in errors)
    assert errors[0].problem == Problem(ProblemCode.LINK_FORBIDDEN)
    [line] = [record.getMessage() for record in caplog.records]
    assert "cdn.example" in line
    assert "198.18.0.7" in line
    assert "VIDEO_NETWORKS" in line


async def test_address_in_video_networks_is_connected_to(env: DownloadEnv):
    """C8: a name and a literal address, where loopback itself is not allowed."""
    networks = (ip_network("127.0.0.0/8"),)
    env.options = {"allow_loopback": False, "networks": networks}
    async with resolving(FixedResolver("127.0.0.1"), "127.0.0.0/8") as session:
        env.session = session
        assert await env.fetch(env.link.replace("127.0.0.1", "cdn.example")) == WHOLE
        assert await env.fetch() == WHOLE


async def test_look_ups_that_hang_delay_neither_the_disk_nor_other_names(env: DownloadEnv):
    """C9: more of them than asyncio's executor has threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(6))
    go = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host.startswith("hangs"):
            go.wait(PATIENCE)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    resolver = PublicResolver(allow_loopback=True, inner=SystemResolver(getaddrinfo=getaddrinfo))
    async with open_download_session(allow_loopback=True, resolver=resolver) as session:
        env.session = session
        downloader = env.downloader()
        jobs = [
            asyncio.create_task(hang(downloader, f"http://hangs{n}.example/", env.folder / f"{n}"))
            for n in range(12)
        ]
        try:
            await env.api.until(lambda: sum(path.suffix == ".part" for path in env.folder.iterdir()) == 12)
            assert await env.fetch(env.link.replace("127.0.0.1", "quick.example")) == WHOLE
            assert not any(job.done() for job in jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            go.set()


async def hang(downloader: VideoDownloader, url: str, target: Path) -> None:
    await downloader.fetch(url, target, timeout=60)


# -- the disk (C10) --------------------------------------------------------------------------------


def disk_of(folder: Path, size: int) -> Callable[[Path], int]:
    """A disk of `size` bytes that holds this folder alone."""
    return lambda _: size - sum(path.stat().st_size for path in folder.iterdir())


async def test_reserve_is_kept_while_a_body_without_a_length_is_written(env: DownloadEnv):
    """C10: it is not known how much will come; nothing of it stays on the full disk."""
    env.serve(Clip.padded(40 * MIB))
    lowest = 32 * MIB

    def free(folder: Path) -> int:
        nonlocal lowest
        left = disk_of(folder, 32 * MIB)(folder)
        lowest = min(lowest, left)
        return left

    env.options = {"disk": DiskSpace(reserve=8 * MIB, free=free)}
    env.api.faults.add(BodyFault(chunked=True, times=None))
    with pytest.raises(StorageUnavailable, match="not enough space"):
        await env.fetch()
    assert lowest >= 8 * MIB
    assert env.files == set()


async def test_reserve_is_kept_by_all_downloads_together(env: DownloadEnv):
    """Two videos fit alone and not together: the second is not begun while the first is written."""
    env.serve(Clip.padded(20 * MIB))
    disk = DiskSpace(reserve=8 * MIB, free=disk_of(env.folder, 40 * MIB))
    downloader = env.downloader(disk=disk)
    hold = env.api.hold(VIDEO, point="half")
    first = asyncio.create_task(downloader.fetch(env.link, env.target, timeout=60))
    await hold.reached()
    with pytest.raises(StorageUnavailable):
        await downloader.fetch(env.link, env.folder / "other.mp4", timeout=60)
    hold.release()
    assert (await first).size == 20 * MIB
    env.target.unlink()
    assert (await downloader.fetch(env.link, env.target, timeout=60)).size == 20 * MIB


async def test_disk_that_others_fill_stops_the_download(env: DownloadEnv):
    """There was room when it began."""
    clip = env.serve(Clip.padded(24 * MIB))
    free = [100 * MIB]
    env.options = {"disk": DiskSpace(reserve=8 * MIB, free=lambda _: free[0])}

    def fill(received: int) -> None:
        if received > clip.size // 2:
            free[0] = 9 * MIB

    with pytest.raises(StorageUnavailable):
        await env.fetch(on_progress=fill)
    assert env.files == set()


async def test_resumed_download_needs_room_for_the_rest_alone(env: DownloadEnv):
    """What is there takes no more room."""
    env.serve(Clip.padded(20 * MIB))
    env.options = {"disk": DiskSpace(reserve=8 * MIB, free=disk_of(env.folder, 30 * MIB))}
    env.api.faults.add(BodyFault(cut_at=16 * MIB))
    assert (await refused(env)).progressed
    assert (await env.fetch()).size == 20 * MIB


# -- links (C11) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a%2Fb/视.mp4?X-Sig=a%2Bb%3d%7E&n=1+2", "/a%2Fb/%E8%A7%86.mp4?X-Sig=a%2Bb%3d%7E&n=1+2"),
        ("/a%2Fb/two words.mp4?s=%2f", "/a%2Fb/two%20words.mp4?s=%2f"),
        ("/a/../%7e;x=1//b?q=[é]&%zz", "/a/../%7e;x=1//b?q=[%C3%A9]&%zz"),
        ("/plain%2F?s=%2B", "/plain%2F?s=%2B"),
    ],
)
async def test_only_what_is_not_ascii_is_quoted(env: DownloadEnv, path: str, sent: str):
    """C11: as it goes over the wire, from a link and from a redirect."""
    lines: list[str] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        lines.append(head.split(b"\r\n")[0].decode())
        if lines[-1] == "GET /first HTTP/1.1":
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_host(answer) as url:
        await refused(env, url + path)
        await refused(env, f"{url}/first")
    assert lines[0] == f"GET {sent} HTTP/1.1"
    # RFC 3986, 5.2.4: a relative reference loses its dot segments.
    assert lines[2] == f"GET {sent.replace('/a/../', '/')} HTTP/1.1"


def test_limits_are_those_of_the_contract():
    """At least 16 KiB/s on average over any minute, headers within 30 s."""
    assert TransferLimits() == TransferLimits(
        header_timeout=30, stall_timeout=30, least_speed=16384, speed_window=60, least_total=60
    )
