"""VideoApiClient against the stand-in and against misbehaving servers, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.core.errors import KeyRefused, VideoApiThrottled, VideoApiUnavailable
from bot.core.verdicts import Completed, Doubt, Doubtful, Failed, Waiting
from bot.veo.client import VideoApiClient, open_api_session
from sandbox.video_api import Complete, Fail, Fault, StandInVideoApi

KEY = "sk-9f8e7d6c5b4a39281706"
ID = "vgen_abc123def456"
POLL = "GET /v1/result/*"
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def api() -> AsyncIterator[StandInVideoApi]:
    async with StandInVideoApi(key=KEY) as api:
        yield api


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_api_session(connections=4) as session:
        yield session


@pytest.fixture
def client(api: StandInVideoApi, session: aiohttp.ClientSession) -> VideoApiClient:
    return VideoApiClient(base_url=api.url, key=SecretStr(KEY), session=session)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server with one handler for everything; gives its address."""
    runners: list[web.AppRunner] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_task_is_followed_from_queued_to_completed(api: StandInVideoApi, client: VideoApiClient):
    """The documented life of a task, as the documented replies tell it."""
    api.create(ID).script(["queued", "processing", Complete()])
    answers = [await client.poll(ID) for _ in range(4)]
    done = Completed(f"{api.url}/videos/{ID}.mp4", 8.0)
    assert answers == [Waiting("queued"), Waiting("processing"), done, done]
    assert [poll.status for poll in api.polls_of(ID)] == [200] * 4
    api.check()


async def test_failure_carries_the_apis_reason(api: StandInVideoApi, client: VideoApiClient):
    """As a text or as an object."""
    api.create(ID).script([Fail("unsafe prompt"), Fail({"code": 3, "message": "unsafe"})])
    assert await client.poll(ID) == Failed("unsafe prompt")
    assert await client.poll(ID) == Failed("unsafe")


async def test_forgotten_task_is_a_doubt(api: StandInVideoApi, client: VideoApiClient):
    """The API answers 404 with JSON."""
    api.create(ID)
    api.forget(ID)
    assert await client.poll(ID) == Doubtful(Doubt.UNKNOWN_ID)


@pytest.mark.parametrize("style", ["204", "401"])
async def test_wrong_key_is_recognised_in_both_styles(
    api: StandInVideoApi, session: aiohttp.ClientSession, style
):
    """Inside HTTP 200, or by status. The message does not name the key."""
    api.key_refusal = style
    client = VideoApiClient(base_url=api.url, key=SecretStr("wrong"), session=session)
    with pytest.raises(KeyRefused) as caught:
        await client.poll(ID)
    assert "wrong" not in str(caught.value)
    assert len(api.surprises) == 1


@pytest.mark.parametrize("task_id", ["a/b?c#d", "../v1/result", "a%2Fb", "視頻 1", "x\ud800"])
async def test_id_stays_one_path_segment(serve: Serve, session, task_id: str):
    """An id is opaque: it is percent-encoded and cannot lead to another path."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({"id": "x", "status": "queued"})

    client = VideoApiClient(base_url=await serve(handler) + "/base/", key=SecretStr(KEY), session=session)
    assert await client.poll(task_id) == Waiting("queued")
    (path,) = seen
    assert path.startswith("/base/v1/result/")
    assert path.isascii()
    assert not set("/?#") & set(path.removeprefix("/base/v1/result/"))


async def test_request_carries_the_key_and_our_name_only(serve: Serve, session):
    """Bearer key, user agent; a cookie that the server sets is not kept."""
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        response = web.json_response({"id": "x", "status": "queued"})
        response.set_cookie("tracking", "1")
        return response

    client = VideoApiClient(base_url=await serve(handler), key=SecretStr(KEY), session=session)
    await client.poll(ID)
    await client.poll(ID)
    assert [headers["Authorization"] for headers in seen] == [f"Bearer {KEY}"] * 2
    assert all(headers["User-Agent"].startswith("veo-courier/") for headers in seen)
    assert not any("Cookie" in headers for headers in seen)


async def test_polls_share_one_connection(serve: Serve, session):
    """Keep-alive: a poller calls the same host all day."""
    ports = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.json_response({"id": "x", "status": "queued"})

    client = VideoApiClient(base_url=await serve(handler), key=SecretStr(KEY), session=session)
    for _ in range(5):
        await client.poll(ID)
    assert len(ports) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(serve: Serve, session, status: int):
    """Following it would carry the key to another host."""
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.json_response({"id": "x", "status": "queued"})

    target = await serve(elsewhere)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": target})

    client = VideoApiClient(base_url=await serve(handler), key=SecretStr(KEY), session=session)
    with pytest.raises(VideoApiUnavailable, match=str(status)):
        await client.poll(ID)
    assert reached == []


async def test_throttling_passes_on_the_wait(api: StandInVideoApi, client: VideoApiClient):
    """Retry-After of a 429, then the same task answers again."""
    api.create(ID)
    api.faults.add(Fault(POLL, status=429, headers={"Retry-After": "7"}))
    with pytest.raises(VideoApiThrottled) as caught:
        await client.poll(ID)
    assert caught.value.retry_after == 7
    assert await client.poll(ID) == Waiting("queued")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(POLL, status=500),
        Fault(POLL, status=502, body="<html>Bad Gateway</html>"),
        Fault(POLL, status=200, body=""),
        Fault(POLL, status=200, body="<html>Welcome</html>"),
        Fault(POLL, status=200, body="fine"),
        Fault(POLL, status=204),
        Fault(POLL, status=200, body="x", headers={"Content-Encoding": "gzip"}),
    ],
    ids=lambda fault: f"{fault.status} {fault.body!r:.10}",
)
async def test_broken_reply_is_unavailable(api: StandInVideoApi, client: VideoApiClient, fault: Fault):
    """Polled once, not retried in here, and the next poll is answered."""
    api.create(ID)
    api.faults.add(fault)
    with pytest.raises(VideoApiUnavailable):
        await client.poll(ID)
    assert len(api.polls) == 1
    assert await client.poll(ID) == Waiting("queued")


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_cut_connection_is_unavailable(api: StandInVideoApi, client: VideoApiClient, cut):
    """The error's class is named, its cause is kept."""
    api.create(ID)
    # aiohttp itself repeats a GET once when its connection closes without one byte.
    api.faults.add(Fault(POLL, cut=cut, times=2))
    with pytest.raises(VideoApiUnavailable, match=r"could not be reached \(\w+Error\)") as caught:
        await client.poll(ID)
    assert isinstance(caught.value.__cause__, aiohttp.ClientError)


async def test_nobody_listening_is_unavailable(session: aiohttp.ClientSession):
    """A refused connection; port 1 is never ours."""
    client = VideoApiClient(base_url="http://127.0.0.1:1", key=SecretStr(KEY), session=session)
    with pytest.raises(VideoApiUnavailable, match="ClientConnectorError"):
        await client.poll(ID)


@pytest.mark.parametrize("after_headers", [False, True])
async def test_time_limit_covers_head_and_body(serve: Serve, session, after_headers: bool):
    """A server that stops answering, before its headers or in the middle of its body."""
    never = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if after_headers:
            await response.prepare(request)
            await response.write(b'{"id": "x"')
        await never.wait()
        return response

    client = VideoApiClient(
        base_url=await serve(handler),
        key=SecretStr(KEY),
        session=session,
        timeout=aiohttp.ClientTimeout(total=0.2),
    )
    with pytest.raises(VideoApiUnavailable, match="TimeoutError"):
        await client.poll(ID)


@pytest.mark.parametrize("encoding", ["identity", "deflate"])
async def test_endless_body_is_not_read(serve: Serve, session, encoding: str):
    """At most 1 MiB, also of a small compressed body that unfolds."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b" " * (8 << 20))
        if encoding == "deflate":
            response.enable_compression(web.ContentCoding.deflate)
        return response

    client = VideoApiClient(base_url=await serve(handler), key=SecretStr(KEY), session=session)
    with pytest.raises(VideoApiUnavailable, match="more than 1 MiB"):
        await client.poll(ID)


async def test_key_repeated_by_the_api_goes_nowhere(api: StandInVideoApi, client: VideoApiClient):
    """Some services quote the key in their refusal; neither log nor chat may show it."""
    api.create(ID).fail(f"the key {KEY} has no credit")
    assert await client.poll(ID) == Failed("the key *** has no credit")
    api.faults.add(Fault(POLL, status=401, body={"message": f"invalid key {KEY}"}))
    with pytest.raises(KeyRefused, match=r"invalid key \*\*\*"):
        await client.poll(ID)


async def test_cancelled_poll_leaves_the_session_usable(api: StandInVideoApi, client: VideoApiClient):
    """Shutdown cancels polls at any moment."""
    api.create(ID)
    hold = api.hold(POLL, point="answered")
    job = asyncio.create_task(client.poll(ID))
    await hold.reached()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    hold.release()
    assert await client.poll(ID) == Waiting("queued")
