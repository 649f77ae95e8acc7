"""Kills the bot and injects faults at random over many tasks; counts lost and doubled results.

The bot is one process with its public settings, or several over one PostgreSQL. It is killed with SIGKILL at
moments that the stand-ins observe (a request received, accepted, half answered) or at random, sometimes
followed by a stop that is longer than Discord remembers a nonce; one of several processes is also frozen for
longer than its lease. Now and then a killed one's SQLite file is replaced by a copy made earlier in the run.

The criterion: at the end, every task whose tracking was acknowledged has exactly one result message. One that
was forgotten with a database, or whose acknowledgement was lost, has at most one.
"""

import asyncio
import itertools
import random
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.soak.bots import Bots, SeveralBots, SingleBot, change, query
from bench.soak.clip import small_clip
from bench.soak.copies import Copies
from bench.soak.faults import API_MOMENTS, DISCORD_MOMENTS, GATEWAY_SHARE, MAX_DELAY, random_fault
from bench.soak.sometimes import complete_by_a_dead_link, silence_now_and_then, sometimes
from bench.soak.tally import Tally
from sandbox.discord import Channel, InteractionFailed, Person
from sandbox.holds import Hold
from sandbox.video_api import CLIP

_CHANNELS = 8
_PEOPLE = 40
_PAUSE = 0.25  # seconds between two commands that track a task
_SETTLE_TIMEOUT = 120.0
_PAST_THE_NONCE = 180_000  # ms
_DEAD_LINK_SHARE = 0.02  # of the tasks
_COPY_SHARE = 0.2  # of the kills: the database is copied before
_PUT_BACK_SHARE = 0.05  # of the kills: it is put back from a copy

_SMALL = small_clip()
_TASK_ID = re.compile(r"vgen_soak\d{7}")
_OWED = "SELECT count(*) FROM deliveries WHERE state IN ('open', 'due')"


async def measure(*, seconds: float, seed: int, work: int, chat: int, report: Callable[[str], None]) -> Tally:
    """Run for so many seconds, wait until nothing is owed, and count. Without `work`: one process, SQLite."""
    chance = random.Random(seed)
    async with AsyncExitStack() as exit_:
        folder = Path(exit_.enter_context(tempfile.TemporaryDirectory()))
        bots: SingleBot | SeveralBots = SingleBot(folder)
        if work:
            bots = SeveralBots(folder, exit_, work=work, chat=chat, chance=chance)
        await exit_.enter_async_context(bots.env)
        soak = _Soak(bots, chance)
        if work:
            soak.tally.processes = f"{work} work and {chat} chat processes over one PostgreSQL"
        try:
            await soak.run(seconds, report)
        finally:
            await bots.stop()
        return soak.tally


class _Soak:
    def __init__(self, bots: SingleBot | SeveralBots, chance: random.Random) -> None:
        self._bots: Bots = bots
        self._single = bots if isinstance(bots, SingleBot) else None
        self._env = bots.env
        self._chance = chance
        self._copies = Copies(bots.env, chance)
        self._channels: list[Channel] = []
        self._people: list[Person] = []
        self._number = 0
        self._asked: set[str] = set()
        self.tally = Tally()

    async def run(self, seconds: float, report: Callable[[str], None]) -> None:
        await self._bots.start()
        guilds = self._bots.guilds
        self._channels = [guilds[n % len(guilds)].add_channel(f"c{n}") for n in range(_CHANNELS)]
        # Many, because new ids of one person are polled one a second after the first twenty.
        self._people = [self._env.discord.add_person(f"person {n}") for n in range(_PEOPLE)]
        for guild, person in itertools.product(guilds, self._people):
            guild.join(person)
        began = time.monotonic()
        people = asyncio.create_task(self._track_tasks())
        faults = asyncio.create_task(self._inject_faults())
        silence = asyncio.create_task(silence_now_and_then(self._env, self._channels, self._chance))
        while time.monotonic() - began < seconds:
            await self._interrupt_one()
            if self.tally.kills % 25 == 0:
                report(f"{time.monotonic() - began:6.0f} s  {self.tally.kills} kills, {self._number} tasks")
        for job in (people, faults, silence):
            job.cancel()
        await asyncio.gather(people, faults, silence, return_exceptions=True)
        self._env.discord.faults.clear()
        self._env.api.faults.clear()
        self.tally.seconds = time.monotonic() - began
        await self._settle()

    async def _track_tasks(self) -> None:
        """Track a new task at regular intervals, whether the bot runs or not."""
        tracking: set[asyncio.Task[None]] = set()
        while True:
            job = asyncio.create_task(self._track(self._chance.choice(self._channels)))
            tracking.add(job)
            job.add_done_callback(tracking.discard)
            await asyncio.sleep(_PAUSE)

    async def _track(self, channel: Channel) -> None:
        self._number += 1
        task_id = f"vgen_soak{self._number:07d}"
        self._asked.add(task_id)
        clip = CLIP if self._chance.random() < 0.1 else _SMALL
        task = self._env.api.create(task_id)
        if self._chance.random() < _DEAD_LINK_SHARE:
            complete_by_a_dead_link(self._env, task, clip)
        elif self._chance.random() < 0.7:
            task.complete(clip)
        else:
            task.fail(f"reason {self._number}")
        try:
            person = self._chance.choice(self._people)
            reply = await person.slash(channel, "veo track", id=task_id)
        except (InteractionFailed, ValueError, TimeoutError):
            self.tally.unacknowledged.add(task_id)
            return
        card = reply.message is not None and task_id in reply.message.content
        (self.tally.acknowledged if card else self.tally.unacknowledged).add(task_id)

    async def _inject_faults(self) -> None:
        """Add a random network or server fault about once a second."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.2, 2))
            if self._chance.random() < GATEWAY_SHARE:
                await self._env.discord.disconnect_gateway(1006)
                self.tally.faults += 1
                continue
            faults, fault = random_fault(self._env, self._chance)
            faults.add(fault)
            self.tally.faults += 1

    async def _interrupt_one(self) -> None:
        if self._single is not None and self._chance.random() < _COPY_SHARE:
            await self._copy()
        what = await self._bots.interrupt_one(await self._moment())
        self.tally.kills += "killed" in what
        self.tally.losses[what] += 1
        if self._single is None:
            return
        put_back, is_long = self._chance.random() < _PUT_BACK_SHARE, self._chance.random() < 0.2
        if put_back or is_long:
            # A real stop of minutes outlasts the requests that the dead bot had in flight; so must this one.
            await asyncio.sleep(MAX_DELAY + 0.2)
        if put_back:
            await self._put_back()
        if is_long:
            await self._make_the_stop_long()
        await self._single.restart()

    async def _copy(self) -> None:
        code = await self._copies.make()
        self.tally.copies += 1
        if code:
            self.tally.bugs.append(f"backup ended with {code}")

    async def _put_back(self) -> None:
        """Forget what was asked for until now and is not in the copy."""
        known = await self._copies.put_back()
        if known is not None:
            self.tally.put_back += 1
            self.tally.forgotten |= self._asked - known

    async def _moment(self) -> Callable[[], None] | None:
        """Wait for an observed moment, or for a random time.

        Returns what to do with the held request after the kill: let the server act on it, or drop it.
        """
        await asyncio.sleep(self._chance.uniform(0, 2))
        if self._chance.random() < 0.2:
            return None
        if self._chance.random() < 0.4:
            route, point = self._chance.choice(API_MOMENTS)
            poll = self._env.api.hold(route, point=point)
            return poll.release if await _is_reached(poll) else None
        route, point = self._chance.choice(DISCORD_MOMENTS)
        call = self._env.discord.hold(route, point=point)
        return self._chance.choice([call.release, call.drop]) if await _is_reached(call) else None

    async def _make_the_stop_long(self) -> None:
        """Make the stop count as longer than Discord remembers a nonce."""
        self.tally.long_stops += 1
        self.tally.stops_at.append(f"{datetime.now(tz=UTC):%H:%M:%S.%f}")
        self._env.discord.forget_nonces()
        await change(
            self._bots,
            f"UPDATE deliveries SET first_sent_at = first_sent_at - {_PAST_THE_NONCE} WHERE state = 'due'",
        )

    async def _settle(self) -> None:
        """Wait until nothing is owed, at most two minutes; then stop the bot and count."""
        deadline = time.monotonic() + _SETTLE_TIMEOUT
        # The bot's database has to be read again and again, because it does not signal changes.
        while await query(self._bots, _OWED) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await self._bots.stop()
        for channel in self._channels:
            for message in channel.messages:
                if any(button.label == "Delete" for button in message.buttons):
                    [task_id] = set(_TASK_ID.findall(message.content))
                    self.tally.results[task_id] += 1
                    posted = f"{message.created_at:%H:%M:%S.%f}"
                    self.tally.posted_at.setdefault(task_id, []).append(posted)
        for message in [each for person in self._people for each in person.direct_channel.messages]:
            self.tally.private |= set(_TASK_ID.findall(message.text))
        self.tally.look_ups = len(self._env.discord.requests("GET", "/channels/*/messages"))
        videos = self._env.folder / "data" / "videos"
        self.tally.left_files = sum(1 for _ in videos.iterdir())
        self.tally.sometimes = sometimes(self._env, self._bots.log_lines(), self.tally.put_back)
        self.tally.bugs += [line for line in self._bots.log_lines() if " a bug " in line]
        self.tally.surprises = [*self._env.discord.surprises, *self._env.api.surprises]


async def _is_reached(hold: Hold) -> bool:
    try:
        await hold.reached(within=2)
    except AssertionError:
        hold.release()
        return False
    return True
