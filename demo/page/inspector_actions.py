"""The panel's actions: tasks, faults, rights, channels and the bot's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demo.page.reasons import REASONS
from demo.page.snapshot import BOT_RIGHTS
from sandbox.discord.locales import LOCALES
from sandbox.video_api import CLIP, PORTRAIT, Clip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from demo.page.bot_control import BotControl
    from demo.page.faults import FaultBoard
    from demo.page.speed import Speed
    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Channel
    from sandbox.video_api import StandInTask

Json = dict[str, Any]
_MB = 1_000_000
# The sizes of the real service's files (video-api.md, section 4); 40 MB is too large for an ordinary server.
CLIPS = {
    "a film in landscape": CLIP,
    "a film in portrait": PORTRAIT,
    "a film of 9 MB": Clip.padded(9 * _MB),
    "a film of 40 MB": Clip.padded(40 * _MB),
}
NO_LINK = "no link"
_MAX_TIMES = 20
BY_HAND = 0


class InspectorActions:
    def __init__(self, env: BotEnvironment, speed: Speed, faults: FaultBoard, bot: BotControl) -> None:
        self._env = env
        self._speed = speed
        self._faults = faults
        self._bot = bot

    def table(self) -> dict[str, Callable[[Json], Awaitable[object]]]:
        return {
            "create task": self.create,
            "move task": self.move,
            "speed": self.speed,
            "fault": self.fault,
            "clear faults": self.clear_faults,
            "permission": self.permission,
            "delete channel": self.delete_channel,
            "add channel": self.add_channel,
            "language": self.language,
            "server language": self.server_language,
            "kill bot": self.kill_bot,
            "disarm": self.disarm,
            "start bot": self.start_bot,
        }

    def tasks(self) -> Json:
        """The API's section of the page: the tasks, and the choices of its buttons."""
        return {
            "tasks": [self._task(task) for task in reversed(self._env.api.tasks.values())],
            "factor": self._speed.factor,
            "clips": [*CLIPS, NO_LINK],
            "reasons": list(REASONS),
        }

    def _task(self, task: StandInTask) -> Json:
        return {
            "id": task.id,
            "status": task.status,
            "polls": self._speed.polls(task),
            "progress": self._speed.progress(task),
        }

    async def create(self, params: Json) -> str:
        """The films take turns: the first is in landscape, the second in portrait."""
        tasks = self._env.api.tasks
        clip = PORTRAIT if len(tasks) % 2 else CLIP
        return self._env.api.create(_new_id(tasks), clip=clip).id

    async def move(self, params: Json) -> None:
        task = self._env.api.tasks.get(str(params["task"]))
        if task is None:
            raise ValueError("the API no longer knows this task")
        match params["to"]:
            case "processing":
                task.proceed()
            case "completed" if params["clip"] == NO_LINK:
                task.complete(url="")
            case "completed":
                task.complete(CLIPS[params["clip"]])
            case "failed":
                task.fail(REASONS[params["reason"]])
            case "forgotten":
                self._env.api.forget(task.id)
            case other:
                raise ValueError(f"a task cannot become {other!r}")

    async def speed(self, params: Json) -> None:
        factor = float(params["factor"])
        if not BY_HAND <= factor <= 1000:
            raise ValueError("the factor is a number from 0 to 1000")
        self._speed.factor = factor

    async def fault(self, params: Json) -> None:
        times = int(params["times"])
        if not 1 <= times <= _MAX_TIMES:
            raise ValueError(f"1 to {_MAX_TIMES} times")
        self._faults.add(str(params["target"]), str(params["kind"]), times)

    async def clear_faults(self, params: Json) -> None:
        self._faults.clear()

    async def permission(self, params: Json) -> None:
        channel, name = self._channel(params), str(params["right"])
        if name not in BOT_RIGHTS:
            raise ValueError(f"no such right: {name}")
        change = channel.allow if params["given"] else channel.deny
        change(self._env.discord.bot, name)

    async def delete_channel(self, params: Json) -> None:
        await self._channel(params).delete()

    async def add_channel(self, params: Json) -> str:
        guild = self._env.discord.world.guilds[int(params["guild"])]
        number = sum(channel.name.startswith("renders") for channel in guild.channels) + 1
        return str(guild.add_channel(f"renders-{number}").id)

    async def language(self, params: Json) -> None:
        """Set the language of a person's Discord."""
        self._env.discord.world.users[int(params["person"])].locale = _locale(params)

    async def server_language(self, params: Json) -> None:
        self._env.discord.world.guilds[int(params["guild"])].preferred_locale = _locale(params)

    async def kill_bot(self, params: Json) -> None:
        await self._bot.kill(params["moment"])

    async def disarm(self, params: Json) -> None:
        self._bot.disarm()

    async def start_bot(self, params: Json) -> None:
        self._bot.start()

    def _channel(self, params: Json) -> Channel:
        channel = self._env.discord.world.channels[int(params["channel"])]
        if channel.deleted:
            raise ValueError("This channel has been deleted.")
        return channel


def _locale(params: Json) -> str:
    wanted = str(params["locale"])
    if wanted not in LOCALES:
        raise ValueError(f"Discord has no language {wanted!r}")
    return wanted


def _new_id(known: dict[str, StandInTask]) -> str:
    """A new id in the service's form that does not resemble its neighbours in a list."""
    number = len(known) + 1
    while (task_id := f"vgen_{number * 0x9E3779B97F4A % (1 << 48):012x}") in known:
        number += 1
    return task_id
