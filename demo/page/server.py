"""The page's server: serves the files, sends changes to open pages, and performs their actions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from demo.page import snapshot, wording
from demo.page.bot_control import BotControl
from demo.page.chat_actions import ChatActions
from demo.page.faults import FaultBoard
from demo.page.feed import Feed, PageConnection
from demo.page.guard import add_headers, own_page_only
from demo.page.inspector_actions import InspectorActions
from demo.page.speed import Speed
from demo.page.timeline import Timeline
from sandbox.discord import InteractionFailed, Message
from sandbox.discord.attachments import AttachmentFiles
from sandbox.discord.interactions import Interaction
from sandbox.loopback import LoopbackServer

if TYPE_CHECKING:
    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord.changes import Change

Json = dict[str, Any]

DEFAULT_PORT = 8080
MAX_PORT = 65535
_PORTS_TRIED = 100
_STATIC = Path(__file__).parent / "static"
_MAX_ACTION = 64 * 1024  # bytes


class PageServer(LoopbackServer):
    """Serves the page for one environment, which must be open already and outlives the page."""

    def __init__(self, env: BotEnvironment, port: int = DEFAULT_PORT) -> None:
        self._env = env
        self._commands: dict[int, str | None] = {}
        self._messages: list[Json] = []
        self.timeline = Timeline(env)
        self.bot = BotControl(env, lambda what: self.timeline.note("bot", what), self.changed)
        self.speed = Speed(env.api, self.changed)
        self.faults = FaultBoard(env)
        inspector = InspectorActions(env, self.speed, self.faults, self.bot)
        self._actions = {**ChatActions(env).table(), **inspector.table()}
        self._feed = Feed(
            {
                "places": lambda: snapshot.places(env.discord.world),
                "commands": lambda: snapshot.commands(env),
                "bot": self.bot.state,
                "api": inspector.tasks,
                "faults": self.faults.state,
            },
            self._events,
            self._history,
        )
        self._world_id = secrets.token_hex(8)
        super().__init__(self._application(), port)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[own_page_only])
        application.on_response_prepare.append(add_headers)
        application.router.add_get("/", _index)
        application.router.add_get("/live", self._serve_websocket)
        files = AttachmentFiles(self._env.discord.world)
        application.router.add_get("/attachments/{channel}/{id}/{filename}", files.handle)
        application.router.add_static("/static", _STATIC)
        return application

    async def _listen(self) -> None:
        """Bind the wanted port or the next free one; 0 takes any. Raises OSError when none is free."""
        wanted = self.port
        last = min(wanted + _PORTS_TRIED - 1, MAX_PORT)
        for port in range(wanted, last + 1):
            self.port = port
            with contextlib.suppress(OSError):
                return await super()._listen()
        raise OSError(f"none of the ports {wanted} to {last} is free")

    async def _opened(self) -> None:
        self._env.discord.world.listeners.append(self._on_change)
        self._env.discord.watch(self.changed)
        self._env.api.journal.watchers.append(self.changed)
        self._speed_job = asyncio.create_task(self.speed.run(), name="the API's speed")

    async def _closing(self) -> None:
        """Close the connections of all pages; the environment stays as it is."""
        self._speed_job.cancel()
        await self.bot.close()
        self._feed.close()

    def changed(self) -> None:
        self._feed.changed()

    # --- what is sent to the page

    def _on_change(self, change: Change) -> None:
        subject = change.subject
        if isinstance(subject, Interaction):
            if change.kind == "interaction":
                self._commands[subject.id] = snapshot.command_name(subject.data)
                self.timeline.note("person", wording.interaction(subject))
        elif isinstance(subject, Message):
            if change.kind == "message deleted":
                self._messages.append({"type": "message deleted", "id": str(subject.id)})
            else:
                self._messages.append({"type": "message", "message": self._message(subject)})

    def _message(self, post: Message) -> Json:
        command = self._commands.get(post.origin.id) if post.origin else None
        return snapshot.message(post, command)

    def _events(self) -> list[Json]:
        events, self._messages = self._messages, []
        if entries := self.timeline.collect():
            events.append({"type": "timeline", "entries": entries})
        return events

    def _history(self) -> Json:
        posts = snapshot.visible_messages(self._env.discord.world)
        return {
            "world": self._world_id,
            "messages": [self._message(post) for post in posts],
            "timeline": self.timeline.latest(),
        }

    # --- what the page does

    async def _serve_websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=30, max_msg_size=_MAX_ACTION)
        await socket.prepare(request)
        connection = PageConnection(socket)
        self._feed.join(connection)
        writer = asyncio.create_task(connection.write_queued(), name="page writer")
        performing: set[asyncio.Task[None]] = set()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    # In a separate job, so that a slow command does not delay the next one.
                    job = asyncio.create_task(self._perform(connection, frame.data))
                    performing.add(job)
                    job.add_done_callback(performing.discard)
        finally:
            self._feed.leave(connection)
            connection.close()
            await asyncio.gather(writer, *performing)
        return socket

    async def _perform(self, connection: PageConnection, text: str) -> None:
        reply: Json = {"type": "reply", "ok": True}
        try:
            params = json.loads(text)
            reply["id"] = params["id"]
            reply["value"] = await self._actions[params["action"]](params)
        except InteractionFailed as failure:
            reply |= {"ok": False, "failed": True, "error": str(failure)}
        except (ValueError, KeyError, TypeError, AttributeError, TimeoutError) as problem:
            reply |= {"ok": False, "failed": False, "error": str(problem)}
        self._feed.changed()
        connection.send(json.dumps(reply))


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "index.html")
