"""The stand-in video API: routes, the key, faults and holds. Its journal records what arrived."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Literal

from aiohttp import web

from sandbox.faults import Fault, Faults
from sandbox.holds import Hold, Holds
from sandbox.loopback import LoopbackServer
from sandbox.patience import PATIENCE
from sandbox.video_api import replies
from sandbox.video_api.clips import CLIP, Clip
from sandbox.video_api.journal import Download, Journal, Poll
from sandbox.video_api.sending import HoldPoint, send_video
from sandbox.video_api.tasks import StandInTask

_JSON = {"Content-Type": "application/json"}
# Seconds before a closing server cancels the requests that a test left hanging.
_SHUTDOWN_TIMEOUT = 0.05


class StandInVideoApi(LoopbackServer):
    """The video API on 127.0.0.1 while its `async with` is open. `check` fails on unexpected requests."""

    def __init__(self, *, key: str = "stand-in-key", port: int = 0) -> None:
        self.key = key
        self.key_refusal: Literal["204", "401"] = "204"
        self.rate_limit: float | None = None
        """Seconds that must pass between two polls of one task; earlier ones are noted in `too_fast`."""
        self.faults = Faults()
        self.tasks: dict[str, StandInTask] = {}
        self.journal = Journal()
        self._holds = Holds()
        self._last_polled: dict[str, float] = {}
        super().__init__(self._app(), port, shutdown_timeout=_SHUTDOWN_TIMEOUT)

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/result/{id}", self._query, allow_head=False)
        app.router.add_post("/v1/veo/videos", self._create)
        app.router.add_get("/videos/{name}", self._download, allow_head=False)
        app.router.add_route("*", "/{path:.*}", self._unknown_route)
        return app

    async def _closing(self) -> None:
        self._holds.release_all()

    # --- for tests

    @property
    def polls(self) -> list[Poll]:
        """Every poll so far, with or without an answer."""
        return self.journal.polls

    @property
    def too_fast(self) -> list[Poll]:
        """The polls that came sooner than `rate_limit` allows."""
        return self.journal.too_fast

    @property
    def downloads(self) -> list[Download]:
        return self.journal.downloads

    @property
    def surprises(self) -> list[str]:
        return self.journal.surprises

    def polls_of(self, task_id: str) -> list[Poll]:
        """Every poll of this task so far."""
        return [poll for poll in self.polls if poll.task_id == task_id]

    def create(
        self,
        task_id: str | None = None,
        *,
        status: str = "queued",
        model: str = "veo_3_1_fast",
        clip: Clip = CLIP,
    ) -> StandInTask:
        """Add a task that becomes this clip. Without an id, it gets one in the service's form."""
        task_id = task_id or f"vgen_{len(self.tasks) + 1:012x}"
        task = StandInTask(
            task_id,
            model=model,
            created=int(time.time()),
            video_url=f"{self.url}/videos/{task_id}.mp4",
            clip=clip,
        )
        task.set_status(status)
        self.tasks[task_id] = task
        return task

    def forget(self, task_id: str) -> None:
        """Remove a task and its video: from now on its id is unknown."""
        del self.tasks[task_id]

    def hold(self, route: str, *, point: HoldPoint) -> Hold:
        """Stop the next request to this route, such as "GET /videos/*"."""
        return self._holds.add(route, point)

    async def until(self, condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Wait for the condition to become true. Raises AssertionError after `within` seconds."""
        await self.journal.until(condition, within=within)

    def check(self) -> None:
        """Raises AssertionError if a client did something that a correct client never does."""
        if self.surprises:
            raise AssertionError("surprises at the video API:\n" + "\n".join(self.surprises))

    # --- routes

    async def _query(self, request: web.Request) -> web.StreamResponse:
        poll = Poll(request.match_info["id"], time.monotonic())
        self._note_if_too_fast(poll)
        self.polls.append(poll)
        self.journal.changed()
        response = await self._answer(request, self._poll_reply)
        poll.status = response.status
        self.journal.changed()
        return response

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._creation_reply)

    async def _answer(
        self, request: web.Request, reply: Callable[[web.Request, bytes], web.Response]
    ) -> web.StreamResponse:
        """Answer an API call through its hold points: received, faults, answered."""
        body = await request.read() if request.can_read_body else b""
        await self.pause("received", request)
        fault = self.faults.take(request.method, request.path)
        response = await self._begin_fault(fault, request) or reply(request, body)
        if fault is not None and fault.cut == "after":
            close_connection(request)
        await self.pause("answered", request)
        return response

    async def _begin_fault(self, fault: Fault | None, request: web.Request) -> web.Response | None:
        """Apply the part of a fault that comes before the work. Returns its answer if it has one."""
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.cut == "before":
            close_connection(request)
            return web.Response(status=500)  # never arrives: the connection is closed
        return None if fault.status is None else replies.from_fault(fault)

    def _poll_reply(self, request: web.Request, body: bytes) -> web.Response:
        if not self._accepts_key(request):
            return replies.key_refused(self.key_refusal)
        task = self.tasks.get(request.match_info["id"])
        if task is None:
            return replies.unknown_task()
        return web.Response(body=task.next_reply(), headers=_JSON)

    def _creation_reply(self, request: web.Request, body: bytes) -> web.Response:
        if not self._accepts_key(request):
            return replies.key_refused(self.key_refusal)
        try:
            wanted = json.loads(body)
        except ValueError:
            wanted = None
        problem = replies.creation_problem(wanted)
        if problem is not None:
            return replies.envelope("400", problem)
        document = self.create(model=wanted["model"]).document()
        return web.json_response(
            {key: document[key] for key in ("id", "object", "created", "model", "status")}
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        download = Download(request.path, time.monotonic(), request.headers)
        self.downloads.append(download)
        if "Authorization" in request.headers:
            self._note_surprise(request, "Authorization sent to the video's host")
        self.journal.changed()
        try:
            return await self._serve(request, download)
        finally:
            download.ended = True
            self.journal.changed()

    async def _serve(self, request: web.Request, download: Download) -> web.StreamResponse:
        await self.pause("received", request)
        fault = self.faults.take(request.method, request.path)
        response = await self._begin_fault(fault, request)
        if response is not None:
            download.status = response.status
            return response
        task = self.tasks.get(request.match_info["name"].removesuffix(".mp4"))
        if task is None or task.status != "completed":
            download.status = 404
            return web.Response(status=404, text="<html>Not found</html>", content_type="text/html")
        return await send_video(request, task.clip, download, fault, self.pause)

    async def _unknown_route(self, request: web.Request) -> web.StreamResponse:
        """404. A fault may answer here too, to imitate a server that gives one reply to every path."""
        response = await self._begin_fault(self.faults.take(request.method, request.path), request)
        if response is not None:
            return response
        self._note_surprise(request, "no such route")
        return replies.no_handler(request.method, request.path)

    # --- shared by the routes

    async def pause(self, point: HoldPoint, request: web.Request) -> None:
        """Stop the request here if a hold matches. The connection of a dropped request is closed."""
        if not await self._holds.pass_through(request, point):
            close_connection(request)

    def _accepts_key(self, request: web.Request) -> bool:
        accepted = request.headers.get("Authorization") == f"Bearer {self.key}"
        if not accepted:
            self._note_surprise(request, "without the right key")
        return accepted

    def _note_if_too_fast(self, poll: Poll) -> None:
        if self.rate_limit is None:
            return
        last = self._last_polled.get(poll.task_id)
        if last is not None and poll.at - last < self.rate_limit:
            self.too_fast.append(poll)
        self._last_polled[poll.task_id] = poll.at

    def _note_surprise(self, request: web.Request, what: str) -> None:
        self.surprises.append(f"{request.method} {request.path}: {what}")
        self.journal.changed()


def close_connection(request: web.Request) -> None:
    """Close the connection at once; data written to it later is lost."""
    if request.transport is not None:
        request.transport.abort()
