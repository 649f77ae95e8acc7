"""The stand-in video API: routes, the key, faults and holds. What it saw is in its journal."""

import asyncio
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from sandbox.faults import Fault, Faults
from sandbox.video_api import replies
from sandbox.video_api.holds import Hold, Stage
from sandbox.video_api.journal import Download, Journal, Question
from sandbox.video_api.sending import send_video
from sandbox.video_api.tasks import StandInTask

_JSON = {"Content-Type": "application/json"}
# Requests that a test left hanging are cancelled after so long when the server stops.
_PATIENCE = 0.05


class StandInVideoApi:
    """Runs on 127.0.0.1 inside the caller's event loop while its `async with` is open."""

    def __init__(self, *, key: str = "stand-in-key", port: int = 0) -> None:
        self.key = key
        self.key_refusal: Literal["204", "401"] = "204"
        self.rate_limit: float | None = None
        self.faults = Faults()
        self.tasks: dict[str, StandInTask] = {}
        self.journal = Journal()
        self._holds: list[Hold] = []
        self._last_asked: dict[str, float] = {}
        self._port = port
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_PATIENCE)

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/result/{id}", self._query, allow_head=False)
        app.router.add_post("/v1/veo/videos", self._create)
        app.router.add_get("/videos/{name}", self._download, allow_head=False)
        app.router.add_route("*", "/{path:.*}", self._surprise)
        return app

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hold in self._holds:
            hold.release()
        await self._runner.cleanup()

    # -- what a test reads and does ---------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base address, as VEO_API_URL takes it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def questions(self) -> list[Question]:
        return self.journal.questions

    @property
    def too_fast(self) -> list[Question]:
        return self.journal.too_fast

    @property
    def downloads(self) -> list[Download]:
        return self.journal.downloads

    @property
    def surprises(self) -> list[str]:
        return self.journal.surprises

    def asked(self, task_id: str) -> list[Question]:
        return [question for question in self.questions if question.task_id == task_id]

    def create(
        self, task_id: str | None = None, *, status: str = "queued", model: str = "veo_3_1_fast"
    ) -> StandInTask:
        """Without an id one is made up, in the service's form."""
        task_id = task_id or f"vgen_{len(self.tasks) + 1:012x}"
        task = StandInTask(
            task_id,
            model=model,
            created=int(time.time()),
            video_url=f"{self.url}/videos/{task_id}.mp4",
        )
        task.say(status)
        self.tasks[task_id] = task
        return task

    def forget(self, task_id: str) -> None:
        """The API no longer knows the id, and its video is gone."""
        del self.tasks[task_id]

    def hold(self, route: str, *, stage: Stage) -> Hold:
        hold = Hold(route, stage)
        self._holds.append(hold)
        return hold

    async def until(self, condition: Callable[[], bool], *, within: float = 10) -> None:
        await self.journal.until(condition, within=within)

    def check(self) -> None:
        """Raises when a client did what a correct client never does."""
        if self.surprises:
            raise AssertionError("surprises at the video API:\n" + "\n".join(self.surprises))

    # -- routes -----------------------------------------------------------------------------------

    async def _query(self, request: web.Request) -> web.StreamResponse:
        question = Question(request.match_info["id"], time.monotonic())
        self._note_pace(question)
        self.questions.append(question)
        self.journal.changed()
        response = await self._spoiled(request, self._answer_question)
        question.status = response.status
        self.journal.changed()
        return response

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return await self._spoiled(request, self._answer_creation)

    async def _spoiled(
        self, request: web.Request, answer: Callable[[web.Request, bytes], web.Response]
    ) -> web.StreamResponse:
        """The stages of every API call: received, faults, answered."""
        body = await request.read() if request.can_read_body else b""
        await self.pause("received", request)
        fault = self.faults.take(request.method, request.path)
        response = await self._before(fault, request) or answer(request, body)
        if fault is not None and fault.cut == "after":
            close(request)
        await self.pause("answered", request)
        return response

    async def _before(self, fault: Fault | None, request: web.Request) -> web.Response | None:
        """What a fault does in the server's place: the answer that it gives, if any."""
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.cut == "before":
            close(request)
            return web.Response(status=500)  # goes nowhere
        return None if fault.status is None else replies.from_fault(fault)

    def _answer_question(self, request: web.Request, body: bytes) -> web.Response:
        if not self._accepts_key(request):
            return replies.key_refused(self.key_refusal)
        task = self.tasks.get(request.match_info["id"])
        if task is None:
            return replies.unknown_task()
        return web.Response(body=task.asked(), headers=_JSON)

    def _answer_creation(self, request: web.Request, body: bytes) -> web.Response:
        if not self._accepts_key(request):
            return replies.key_refused(self.key_refusal)
        try:
            wish = json.loads(body)
        except ValueError:
            wish = None
        problem = replies.creation_problem(wish)
        if problem is not None:
            return replies.envelope("400", problem)
        document = self.create(model=wish["model"]).document()
        return web.json_response(
            {key: document[key] for key in ("id", "object", "created", "model", "status")}
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        download = Download(request.path, time.monotonic(), request.headers)
        self.downloads.append(download)
        if "Authorization" in request.headers:
            self._remember(request, "Authorization sent to the video's host")
        self.journal.changed()
        try:
            return await self._serve(request, download)
        finally:
            download.ended = True
            self.journal.changed()

    async def _serve(self, request: web.Request, download: Download) -> web.StreamResponse:
        await self.pause("received", request)
        fault = self.faults.take(request.method, request.path)
        response = await self._before(fault, request)
        if response is not None:
            download.status = response.status
            return response
        task = self.tasks.get(request.match_info["name"].removesuffix(".mp4"))
        if task is None or task.status != "completed":
            download.status = 404
            return web.Response(status=404, text="<html>Not found</html>", content_type="text/html")
        return await send_video(request, task.clip, download, fault, self.pause)

    async def _surprise(self, request: web.Request) -> web.StreamResponse:
        self._remember(request, "no such route")
        return replies.no_handler(request.method, request.path)

    # -- what they share --------------------------------------------------------------------------

    async def pause(self, stage: Stage, request: web.Request) -> None:
        """Stands still when a hold asks for it."""
        for hold in self._holds:
            if hold.stops(stage, request.method, request.path):
                await hold.stop()

    def _accepts_key(self, request: web.Request) -> bool:
        accepted = request.headers.get("Authorization") == f"Bearer {self.key}"
        if not accepted:
            self._remember(request, "without the right key")
        return accepted

    def _note_pace(self, question: Question) -> None:
        if self.rate_limit is None:
            return
        last = self._last_asked.get(question.task_id)
        if last is not None and question.at - last < self.rate_limit:
            self.too_fast.append(question)
        self._last_asked[question.task_id] = question.at

    def _remember(self, request: web.Request, what: str) -> None:
        self.surprises.append(f"{request.method} {request.path}: {what}")
        self.journal.changed()


def close(request: web.Request) -> None:
    """Drops the connection; what is still written to it goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
