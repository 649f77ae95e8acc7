"""The stand-in itself: documented shapes, faults, holds, and that it hides no surprise."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sandbox.patience import PATIENCE
from sandbox.video_api import CLIP, BodyFault, Clip, Complete, Fail, Fault, StandInVideoApi

ID = "vgen_abc123def456"
KEY = {"Authorization": "Bearer stand-in-key"}


@pytest.fixture
async def api() -> AsyncIterator[StandInVideoApi]:
    async with StandInVideoApi(key="stand-in-key") as api:
        yield api


@pytest.fixture
async def http(api: StandInVideoApi) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(api.url) as session:
        yield session


async def ask(http: aiohttp.ClientSession, task_id: str = ID):
    async with http.get(f"/v1/result/{task_id}", headers=KEY) as response:
        return await response.json()


async def test_replies_have_the_documented_shape(api: StandInVideoApi, http):
    """The processing example of the query page, key by key; completed adds actualDuration."""
    before = int(time.time())
    task = api.create(ID)
    task.proceed()
    document = await ask(http)
    assert list(document) == ["id", "object", "created", "model", "status", "video_url", "error"]
    assert before <= document["created"] <= time.time()
    assert document | {"created": 1} == {
        "id": ID,
        "object": "video",
        "created": 1,
        "model": "veo_3_1_fast",
        "status": "processing",
        "video_url": None,
        "error": None,
    }
    task.complete()
    done = await ask(http)
    assert done["video_url"] == f"{api.url}/videos/{ID}.mp4"
    assert done["actualDuration"] == 8
    task.fail({"code": 3, "message": "unsafe"})
    assert (await ask(http))["error"] == {"code": 3, "message": "unsafe"}
    api.check()


async def test_script_moves_one_step_per_question(api: StandInVideoApi, http):
    """The last step stays."""
    api.create(ID).script(["queued", "mixing", Fail("no"), Complete(url="http://h/x")])
    told = [await ask(http) for _ in range(5)]
    words = [document["status"] for document in told]
    assert words == ["queued", "mixing", "failed", "completed", "completed"]
    assert told[2]["error"] == "no"
    assert told[4]["video_url"] == "http://h/x"


async def test_created_tasks_can_be_asked_for(api: StandInVideoApi, http):
    """POST answers with the documented keys and a queued task."""
    wish = {"model": "veo_3_1_pro", "prompt": "a cat"}
    async with http.post("/v1/veo/videos", json=wish, headers=KEY) as response:
        created = await response.json()
    assert list(created) == ["id", "object", "created", "model", "status"]
    assert created["id"].startswith("vgen_")
    assert (await ask(http, created["id"]))["status"] == "queued"


@pytest.mark.parametrize("wish", [[], {}, {"model": "veo_3_1_pro"}, {"model": "x", "prompt": "y"}])
async def test_create_refuses_inside_http_200(api: StandInVideoApi, http, wish):
    """The service's envelope, without an id."""
    async with http.post("/v1/veo/videos", json=wish, headers=KEY) as response:
        assert response.status == 200
        refusal = await response.json()
    assert refusal["code"] == "400"
    assert refusal["data"] is None


async def test_wrong_or_missing_key_is_refused_and_remembered(api: StandInVideoApi, http):
    """As the service does it, or as 401."""
    api.create(ID)
    async with http.get(f"/v1/result/{ID}") as response:
        assert await response.json() == {"code": "204", "msg": "登录验证失败"}
    api.key_refusal = "401"
    async with http.post("/v1/veo/videos", headers={"Authorization": "Bearer x"}) as response:
        assert response.status == 401
    assert len(api.surprises) == 2
    with pytest.raises(AssertionError, match="without the right key"):
        api.check()


async def test_unknown_routes_are_surprises(api: StandInVideoApi, http):
    """Answered as Spring does, and remembered for the test."""
    for method, path in (("GET", "/v1/models"), ("HEAD", f"/v1/result/{ID}"), ("GET", "/")):
        async with http.request(method, path) as response:
            assert response.status == 404
    async with http.get("/v1/models") as response:
        assert (await response.json())["message"] == "No handler found for GET /v1/models"
    with pytest.raises(AssertionError, match="no such route"):
        api.check()


async def test_fault_answers_at_every_address(api: StandInVideoApi, http):
    """As a server does that is not this API; then no address is a surprise."""
    api.faults.add(Fault("GET *", status=404, body={"detail": "Not Found"}, times=None))
    for path in (f"/v1/result/{ID}", "/v1/v1/result/x", "/"):
        async with http.get(path) as response:
            assert (response.status, await response.json()) == (404, {"detail": "Not Found"})
    api.check()


async def test_key_on_a_download_is_a_surprise(api: StandInVideoApi, http):
    """The key must never travel to the video's host."""
    api.create(ID).complete()
    async with http.get(f"/videos/{ID}.mp4", headers=KEY) as response:
        assert await response.read() == CLIP.content
    assert "Authorization" in api.surprises[0]


async def test_videos_exist_only_for_completed_tasks(api: StandInVideoApi, http):
    """Before completion and after forgetting there is a web page with 404."""
    task = api.create(ID)
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert response.status == 404
    task.complete()
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert response.content_length == CLIP.size
    api.forget(ID)
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert response.content_type == "text/html"
    async with http.get(f"/v1/result/{ID}", headers=KEY) as response:
        assert response.status == 404
    assert [download.status for download in api.downloads] == [404, 200, 404]


async def test_padded_clip_has_exactly_the_wanted_size(api: StandInVideoApi, http):
    """Streamed, with the hash that it claims."""
    clip = Clip.padded(3_000_001)
    api.create(ID).complete(clip)
    async with http.get(f"/videos/{ID}.mp4") as response:
        body = await response.read()
    assert len(body) == clip.size == 3_000_001
    assert hashlib.sha256(body).hexdigest() == clip.sha256
    with pytest.raises(ValueError, match="at least"):
        Clip.padded(CLIP.size)


async def test_faults_spoil_as_often_as_they_say(api: StandInVideoApi, http):
    """A status in the server's place moves no script; a cut afterwards does."""
    api.create(ID).script(["one", "two", "three"])
    api.faults.add(Fault("GET /v1/result/*", status=503, body={"a": 1}, headers={"X": "y"}))
    async with http.get(f"/v1/result/{ID}", headers=KEY) as response:
        assert (response.status, response.headers["X"]) == (503, "y")
        assert await response.json() == {"a": 1}
    assert (await ask(http))["status"] == "one"
    # aiohttp's client asks once more when its connection closes without one byte.
    api.faults.add(Fault("GET /v1/result/*", cut="after"))
    assert (await ask(http))["status"] == "three"
    assert [question.status for question in api.polls] == [503, 200, 200, 200]


async def test_cut_body_delivers_exactly_so_many_bytes(api: StandInVideoApi, http):
    """Then the connection closes, and the client knows that bytes are missing."""
    api.create(ID).complete()
    api.faults.add(BodyFault(cut_at=1000))
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert await response.content.readexactly(1000) == CLIP.content[:1000]
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readany()
    assert api.downloads[0].bytes_sent == 1000


@pytest.mark.parametrize(
    ("headers", "status", "start", "end"),
    [
        ({}, 200, 0, CLIP.size),
        ({"Range": "bytes=1000-"}, 206, 1000, CLIP.size),
        ({"Range": "bytes=1000-1999"}, 206, 1000, 2000),
        ({"Range": "bytes=0-"}, 206, 0, CLIP.size),
        ({"Range": "bytes=1000-", "If-Range": CLIP.etag}, 206, 1000, CLIP.size),
        ({"Range": "bytes=1000-", "If-Range": '"another"'}, 200, 0, CLIP.size),
        ({"Range": "bytes=1000-", "If-Range": f"W/{CLIP.etag}"}, 200, 0, CLIP.size),
        ({"Range": f"bytes={CLIP.size}-"}, 416, 0, 0),
        ({"Range": "items=1-"}, 200, 0, CLIP.size),
    ],
)
async def test_part_of_a_video_is_sent_when_it_is_asked_for(
    api: StandInVideoApi, http, headers: dict[str, str], status: int, start: int, end: int
):
    """RFC 9110, 14.2 and 13.1.5."""
    api.create(ID).complete()
    async with http.get(f"/videos/{ID}.mp4", headers=headers) as response:
        assert response.status == status
        assert await response.read() == CLIP.content[start:end]
        assert response.headers["ETag"] == CLIP.etag
        sent_range = f"bytes {start}-{end - 1}/{CLIP.size}" if status == 206 else None
        told = f"bytes */{CLIP.size}" if status == 416 else sent_range
        assert response.headers.get("Content-Range") == told


async def test_part_of_a_padded_clip_is_that_part(api: StandInVideoApi, http):
    """Also where the padding begins."""
    clip = Clip.padded(CLIP.size + 300_000)
    whole = b"".join(clip.chunks())
    api.create(ID).complete(clip)
    for start in (CLIP.size - 1, CLIP.size, CLIP.size + 16, clip.size - 1):
        async with http.get(f"/videos/{ID}.mp4", headers={"Range": f"bytes={start}-"}) as response:
            assert await response.read() == whole[start:]


async def test_odd_answers_come_with_the_usual_body(api: StandInVideoApi, http):
    """Another status, other headers, and 1xx answers first."""
    api.create(ID).complete()
    api.faults.add(BodyFault(video_status=203, extra={"X": "y", "ETag": None}, continues=5))
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert (response.status, response.headers["X"]) == (203, "y")
        assert "ETag" not in response.headers
        assert await response.read() == CLIP.content


@pytest.mark.parametrize("point", ["received", "answered"])
async def test_hold_stops_the_first_question_only(api: StandInVideoApi, http, point):
    """Before anything is done, or with the answer ready; later questions pass."""
    api.create(ID).script(["one", "two"])
    hold = api.hold("GET /v1/result/*", point=point)
    held = asyncio.create_task(ask(http))
    await hold.reached()
    other = await ask(http)
    assert not held.done()
    hold.release()
    words = [(await held)["status"], other["status"]]
    assert words == (["two", "one"] if point == "received" else ["one", "two"])


@pytest.mark.parametrize(("point", "sent"), [("half", CLIP.size // 2), ("sent", CLIP.size)])
async def test_hold_stops_a_download_in_the_middle(api: StandInVideoApi, http, point, sent: int):
    """So many bytes are on the wire, no more."""
    api.create(ID).complete()
    hold = api.hold("GET /videos/*", point=point)
    async with http.get(f"/videos/{ID}.mp4") as response:
        assert await response.content.readexactly(sent) == CLIP.content[:sent]
        await hold.reached()
        assert api.downloads[0].bytes_sent == sent
        hold.release()
        assert await response.read() == CLIP.content[sent:]


async def test_waiting_for_what_never_comes_fails_the_test(api: StandInVideoApi):
    """With what was seen instead."""
    with pytest.raises(AssertionError, match="0 polls"):
        await api.until(lambda: bool(api.polls), within=0.05)
    with pytest.raises(AssertionError, match="nothing reached"):
        await api.hold("GET /x", point="received").reached(within=0.05)


async def test_until_returns_when_it_is_seen(api: StandInVideoApi, http):
    """Woken by the arrival."""
    api.create(ID)
    job = asyncio.create_task(ask(http))
    await api.until(lambda: len(api.polls_of(ID)) == 1)
    assert (await job)["status"] == "queued"


async def test_asking_too_fast_is_remembered(api: StandInVideoApi, http):
    """Per task: two tasks may be asked in a row."""
    api.rate_limit = 30
    api.create(ID)
    api.create("vgen_other")
    for task_id in (ID, "vgen_other", ID):
        await ask(http, task_id)
    assert [question.task_id for question in api.too_fast] == [ID]


async def test_stand_in_runs_as_a_process(tmp_path):
    """For the benchmark: prints its address, serves tasks that stay processing, ends on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.video_api", "--key", "k", "--tasks", "3",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession(url) as http:
        headers = {"Authorization": "Bearer k"}
        async with http.get("/v1/result/vgen_000000000003", headers=headers) as response:
            assert (await response.json())["status"] == "processing"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
