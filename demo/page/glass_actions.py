"""What the other side of the glass can do: tasks, faults, rights, channels, the bot's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demo.page.reasons import REASONS
from demo.page.snapshot import BOT_RIGHTS
from sandbox.video_api import CLIP, Clip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from demo.page.bot_control import BotControl
    from demo.page.faults import FaultBoard
    from demo.page.pace import Pace
    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Channel
    from sandbox.video_api import StandInTask

Json = dict[str, Any]
_MB = 1_000_000
# What the real service's files weigh (video-api.md, section 4); 40 MB is too much for an ordinary server.
CLIPS = {"720p": CLIP, "1080p": Clip.padded(9 * _MB), "40 MB": Clip.padded(40 * _MB)}
NO_LINK = "without a link"
_MOST_TIMES = 20
BY_HAND = 0


class GlassActions:
    def __init__(self, env: BotEnvironment, pace: Pace, faults: FaultBoard, bot: BotControl) -> None:
        self._env = env
        self._pace = pace
        self._faults = faults
        self._bot = bot

    def table(self) -> dict[str, Callable[[Json], Awaitable[object]]]:
        return {
            "create task": self.create,
            "move task": self.move,
            "pace": self.pace,
            "fault": self.fault,
            "clear faults": self.clear_faults,
            "permission": self.permission,
            "delete channel": self.delete_channel,
            "add channel": self.add_channel,
            "kill bot": self.kill_bot,
            "disarm": self.disarm,
            "start bot": self.start_bot,
        }

    def tasks(self) -> Json:
        """What the page shows of the API, and the choices its buttons offer."""
        return {
            "tasks": [self._task(task) for task in reversed(self._env.api.tasks.values())],
            "factor": self._pace.factor,
            "clips": [*CLIPS, NO_LINK],
            "reasons": list(REASONS),
        }

    def _task(self, task: StandInTask) -> Json:
        return {
            "id": task.id,
            "status": task.status,
            "asked": self._pace.asked(task),
            "progress": self._pace.progress(task),
        }

    async def create(self, wish: Json) -> str:
        return self._env.api.create(_fresh_id(self._env.api.tasks)).id

    async def move(self, wish: Json) -> None:
        task = self._env.api.tasks.get(str(wish["task"]))
        if task is None:
            raise ValueError("the API does not know this task any more")
        match wish["to"]:
            case "processing":
                task.proceed()
            case "completed" if wish["clip"] == NO_LINK:
                task.complete(url="")
            case "completed":
                task.complete(CLIPS[wish["clip"]])
            case "failed":
                task.fail(REASONS[wish["reason"]])
            case "forgotten":
                self._env.api.forget(task.id)
            case other:
                raise ValueError(f"a task cannot become {other!r}")

    async def pace(self, wish: Json) -> None:
        factor = float(wish["factor"])
        if not BY_HAND <= factor <= 1000:
            raise ValueError("the factor is a number from 0 to 1000")
        self._pace.factor = factor

    async def fault(self, wish: Json) -> None:
        times = int(wish["times"])
        if not 1 <= times <= _MOST_TIMES:
            raise ValueError(f"1 to {_MOST_TIMES} times")
        self._faults.add(str(wish["target"]), str(wish["kind"]), times)

    async def clear_faults(self, wish: Json) -> None:
        self._faults.clear()

    async def permission(self, wish: Json) -> None:
        channel, name = self._channel(wish), str(wish["right"])
        if name not in BOT_RIGHTS:
            raise ValueError(f"no such right: {name}")
        change = channel.allow if wish["given"] else channel.deny
        change(self._env.discord.bot, name)

    async def delete_channel(self, wish: Json) -> None:
        await self._channel(wish).delete()

    async def add_channel(self, wish: Json) -> str:
        guild = self._env.discord.world.guilds[int(wish["guild"])]
        number = sum(channel.name.startswith("renders") for channel in guild.channels) + 1
        return str(guild.add_channel(f"renders-{number}").id)

    async def kill_bot(self, wish: Json) -> None:
        await self._bot.kill(wish["moment"])

    async def disarm(self, wish: Json) -> None:
        self._bot.disarm()

    async def start_bot(self, wish: Json) -> None:
        self._bot.start()

    def _channel(self, wish: Json) -> Channel:
        channel = self._env.discord.world.channels[int(wish["channel"])]
        if channel.deleted:
            raise ValueError("This channel has been deleted.")
        return channel


def _fresh_id(known: dict[str, StandInTask]) -> str:
    """In the service's form, and not to be mistaken for its neighbours in a list."""
    number = len(known) + 1
    while (task_id := f"vgen_{number * 0x9E3779B97F4A % (1 << 48):012x}") in known:
        number += 1
    return task_id
