"""VideoApiClient against the stand-in and against misbehaving servers, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.core.answers import Answer, AnswerKind
from bot.core.masking import STARS
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


def silence(error: str) -> Answer:
    return Answer(AnswerKind.SILENCE, where=f"no answer ({error})")


async def test_task_is_followed_from_queued_to_completed(api: StandInVideoApi, client: VideoApiClient):
    """The documented life of a task, as the documented replies tell it."""
    api.create(ID).script(["queued", "processing", Complete()])
    answers = [await client.poll(ID) for _ in range(4)]
    waiting = Answer(AnswerKind.WAITING, "queued", model="veo_3_1_fast", created=answers[0].created)
    done = replace(
        waiting,
        kind=AnswerKind.COMPLETED,
        api_status="completed",
        video_url=f"{api.url}/videos/{ID}.mp4",
        seconds=8.0,
    )
    assert answers == [waiting, replace(waiting, api_status="processing"), done, done]
    assert answers[0].created is not None
    assert [poll.status for poll in api.polls_of(ID)] == [200] * 4
    api.check()


async def test_failure_carries_the_apis_reason(api: StandInVideoApi, client: VideoApiClient):
    """As a text or as an object."""
    api.create(ID).script([Fail("unsafe prompt"), Fail({"code": 3, "message": "unsafe"})])
    answers = [await client.poll(ID) for _ in range(2)]
    assert [(answer.kind, answer.words) for answer in answers] == [
        (AnswerKind.FAILED, "unsafe prompt"),
        (AnswerKind.FAILED, "unsafe"),
    ]


async def test_forgotten_task_is_an_unknown_id(api: StandInVideoApi, client: VideoApiClient):
    """The API answers 404 with JSON."""
    api.create(ID)
    api.forget(ID)
    answer = await client.poll(ID)
    assert (answer.kind, answer.words) == (AnswerKind.UNKNOWN_ID, "task not found")


@pytest.mark.parametrize("style", ["204", "401"])
async def test_wrong_key_is_recognised_in_both_styles(
    api: StandInVideoApi, session: aiohttp.ClientSession, style
):
    """Inside HTTP 200, or by status. The message does not name the key."""
    api.key_refusal = style
    client = VideoApiClient(base_url=api.url, key=SecretStr("wrong"), session=session)
    answer = await client.poll(ID)
    assert answer.kind is AnswerKind.KEY_REFUSED
    assert "wrong" not in str(answer)
    assert len(api.surprises) == 1


@pytest.mark.parametrize("task_id", ["a/b?c#d", "../v1/result", "a%2Fb", "視頻 1", "x\ud800"])
async def test_id_stays_one_path_segment(serve: Serve, session, task_id: str):
    """An id is opaque: it is percent-encoded and cannot lead to another path."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({"id": request.match_info["path"], "status": "queued"})

    client = VideoApiClient(base_url=await serve(handler) + "/base/", key=SecretStr(KEY), session=session)
    await client.poll(task_id)
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
    answer = await client.poll(ID)
    assert answer.kind is AnswerKind.ERROR
    assert answer.where.startswith(f"HTTP {status}")
    assert reached == []


async def test_throttling_passes_on_the_wait(api: StandInVideoApi, client: VideoApiClient):
    """Retry-After of a 429, then the same task answers again."""
    api.create(ID)
    api.faults.add(Fault(POLL, status=429, headers={"Retry-After": "7"}))
    throttled = await client.poll(ID)
    assert (throttled.kind, throttled.retry_after) == (AnswerKind.THROTTLED, 7)
    assert (await client.poll(ID)).kind is AnswerKind.WAITING


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
async def test_broken_reply_is_no_usable_answer(api: StandInVideoApi, client: VideoApiClient, fault: Fault):
    """Polled once, not retried in here, and the next poll is answered."""
    api.create(ID)
    api.faults.add(fault)
    broken = await client.poll(ID)
    assert broken.kind is AnswerKind.ERROR
    assert broken.where.startswith(f"HTTP {fault.status}")
    assert len(api.polls) == 1
    assert (await client.poll(ID)).kind is AnswerKind.WAITING


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_cut_connection_is_silence(api: StandInVideoApi, client: VideoApiClient, cut):
    """The error's class is named."""
    api.create(ID)
    # aiohttp itself repeats a GET once when its connection closes without one byte.
    api.faults.add(Fault(POLL, cut=cut, times=2))
    assert await client.poll(ID) == silence("connection closed without an answer")


async def test_nobody_listening_is_silence(session: aiohttp.ClientSession):
    """A refused connection; port 1 is never ours."""
    client = VideoApiClient(base_url="http://127.0.0.1:1", key=SecretStr(KEY), session=session)
    assert await client.poll(ID) == silence("connection refused")


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
    answer = await client.poll(ID)
    assert answer.kind is AnswerKind.SILENCE
    assert answer.where == "no answer within 0.2 s"


@pytest.mark.parametrize("encoding", ["identity", "deflate"])
async def test_endless_body_is_not_read(serve: Serve, session, encoding: str):
    """At most 1 MiB, also of a small compressed body that unfolds."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b" " * (8 << 20))
        if encoding == "deflate":
            response.enable_compression(web.ContentCoding.deflate)
        return response

    client = VideoApiClient(base_url=await serve(handler), key=SecretStr(KEY), session=session)
    assert await client.poll(ID) == Answer(AnswerKind.ERROR, where="HTTP 200: more than 1 MiB")


async def test_key_repeated_by_the_api_goes_nowhere(api: StandInVideoApi, client: VideoApiClient):
    """Some services quote the key in their refusal; neither log nor chat may show it."""
    api.create(ID).fail(f"the key {KEY} has no credit")
    assert (await client.poll(ID)).words == f"the key {STARS} has no credit"
    api.faults.add(Fault(POLL, status=401, body={"message": f"invalid key {KEY}"}))
    refusal = await client.poll(ID)
    assert refusal.kind is AnswerKind.KEY_REFUSED
    assert (refusal.words, refusal.where) == (f"invalid key {STARS}", f"HTTP 401: invalid key {STARS}")


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
    assert (await client.poll(ID)).kind is AnswerKind.WAITING
