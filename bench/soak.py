"""Random kills and random faults over many tasks, for a given time; counts what was lost and doubled.

The bot is its own process with its public settings, or several over one PostgreSQL. It is killed with SIGKILL
at moments that the stand-ins observe (a request received, accepted, half answered) or at random, sometimes
followed by a stop that is longer than Discord remembers a nonce; one of several is also frozen for longer
than its lease. What counts: every task whose tracking was acknowledged has exactly one result message at the
end, and a task whose acknowledgement was lost has at most one.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cast import Cast, Ensemble, Soloist, ask, tell
from sandbox.discord import Channel, InteractionFailed
from sandbox.faults import Fault
from sandbox.video_api import CLIP, Clip

_CHANNELS = 8
_PAUSE = 0.25  # seconds between two people who track something
_SETTLING = 120.0
_LONGER_THAN_A_NONCE = 180_000  # ms
_GATEWAY_SHARE = 0.05  # of the faults: the websocket breaks
_LONGEST_DELAY = 1.0  # seconds that a fault keeps a request on the wire

_OWED = "SELECT count(*) FROM deliveries WHERE state IN ('open', 'due')"

_DISCORD_MOMENTS: list[tuple[str, Any]] = [
    ("POST /channels/*/messages", "received"),
    ("POST /channels/*/messages", "accepted"),
    ("PATCH /channels/*", "received"),
    ("PATCH /channels/*", "accepted"),
    ("POST /interactions/*", "received"),
    ("POST /interactions/*", "accepted"),
]
_API_MOMENTS: list[tuple[str, Any]] = [
    ("GET /v1/result/*", "received"),
    ("GET /v1/result/*", "answered"),
    ("GET /videos/*", "received"),
    ("GET /videos/*", "half"),
    ("GET /videos/*", "sent"),
]


def _box(kind: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4) + kind + body


# The smallest thing that is an MP4, so that thousands of results fit into memory.
_SMALL = Clip(_box(b"ftyp", b"isom\0\0\2\0isom") + _box(b"moov", _box(b"mvhd", bytes(100))), seconds=None)


@dataclass(slots=True)
class Tally:
    """What happened, and what came of it."""

    seconds: float = 0.0
    processes: str = "one process"
    kills: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    long_stops: int = 0
    faults: int = 0
    acknowledged: set[str] = field(default_factory=set)
    unacknowledged: set[str] = field(default_factory=set)
    results: Counter[str] = field(default_factory=Counter)
    posted_at: dict[str, list[str]] = field(default_factory=dict)
    stops_at: list[str] = field(default_factory=list)
    left_files: int = 0
    bugs: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        return sorted(self.acknowledged - self.results.keys())

    @property
    def doubled(self) -> list[str]:
        return sorted(task_id for task_id, count in self.results.items() if count > 1)


async def measure(*, seconds: float, seed: int, work: int, chat: int, say: Callable[[str], None]) -> Tally:
    """Plays for so long, lets everything settle, and counts. Without `work`, one process with SQLite."""
    chance = random.Random(seed)
    async with AsyncExitStack() as exit_:
        folder = Path(exit_.enter_context(tempfile.TemporaryDirectory()))
        cast: Soloist | Ensemble = Soloist(folder, exit_)
        if work:
            cast = Ensemble(folder, exit_, work=work, chat=chat, chance=chance)
        await exit_.enter_async_context(cast.stage)
        soak = _Soak(cast, chance)
        if work:
            soak.tally.processes = f"{work} work and {chat} chat processes over one PostgreSQL"
        try:
            await soak.play(seconds, say)
        finally:
            await cast.end()
        return soak.tally


class _Soak:
    def __init__(self, cast: Soloist | Ensemble, chance: random.Random) -> None:
        self._cast: Cast = cast
        self._solo = cast if isinstance(cast, Soloist) else None
        self._stage = cast.stage
        self._chance = chance
        self._channels: list[Channel] = []
        self._number = 0
        self.tally = Tally()

    async def play(self, seconds: float, say: Callable[[str], None]) -> None:
        await self._cast.begin()
        guilds = self._cast.guilds
        self._channels = [guilds[n % len(guilds)].add_channel(f"c{n}") for n in range(_CHANNELS)]
        began = time.monotonic()
        people = asyncio.create_task(self._people())
        weather = asyncio.create_task(self._weather())
        while time.monotonic() - began < seconds:
            await self._lose_one()
            if self.tally.kills % 25 == 0:
                say(f"{time.monotonic() - began:6.0f} s  {self.tally.kills} kills, {self._number} tasks")
        for job in (people, weather):
            job.cancel()
        await asyncio.gather(people, weather, return_exceptions=True)
        self._stage.discord.faults.clear()
        self._stage.api.faults.clear()
        self.tally.seconds = time.monotonic() - began
        await self._settle()

    async def _people(self) -> None:
        """Somebody tracks a new task every now and then, whether the bot is there or not."""
        tracking: set[asyncio.Task[None]] = set()
        while True:
            job = asyncio.create_task(self._track(self._chance.choice(self._channels)))
            tracking.add(job)
            job.add_done_callback(tracking.discard)
            await asyncio.sleep(_PAUSE)

    async def _track(self, channel: Channel) -> None:
        self._number += 1
        task_id = f"vgen_soak{self._number:07d}"
        clip = CLIP if self._chance.random() < 0.1 else _SMALL
        task = self._stage.api.create(task_id)
        if self._chance.random() < 0.7:
            task.complete(clip)
        else:
            task.fail(f"reason {self._number}")
        try:
            reply = await self._stage.alice.slash(channel, "veo track", id=task_id)
        except (InteractionFailed, ValueError, TimeoutError):
            self.tally.unacknowledged.add(task_id)
            return
        card = reply.message is not None and task_id in reply.message.content
        (self.tally.acknowledged if card else self.tally.unacknowledged).add(task_id)

    async def _weather(self) -> None:
        """Something goes wrong on the wire, about once a second."""
        limited: dict[str, Any] = {"message": "slow down", "retry_after": 0.5, "global": False}
        kinds = [
            (self._stage.api.faults, Fault("GET /v1/result/*", status=500, body="<html>")),
            (self._stage.api.faults, Fault("GET /v1/result/*", cut="before", times=2)),
            (self._stage.api.faults, Fault("GET /videos/*", status=503, body="")),
            (self._stage.api.faults, Fault("GET /videos/*", cut="before", times=2)),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", status=503, body="")),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", status=500, body="")),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", cut="before")),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", cut="after")),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", status=429, body=limited)),
            (self._stage.discord.faults, Fault("PATCH /channels/*", cut="after")),
            (self._stage.discord.faults, Fault("POST /channels/*/messages", delay=_LONGEST_DELAY)),
        ]
        while True:
            await asyncio.sleep(self._chance.uniform(0.2, 2))
            if self._chance.random() < _GATEWAY_SHARE:
                await self._stage.discord.disconnect_gateway(1006)
                self.tally.faults += 1
                continue
            faults, fault = self._chance.choice(kinds)
            faults.add(fault)
            self.tally.faults += 1

    async def _lose_one(self) -> None:
        what = await self._cast.lose_one(await self._moment())
        self.tally.kills += "killed" in what
        self.tally.losses[what] += 1
        if self._solo is None:
            return
        if self._chance.random() < 0.2:
            # A stop of minutes outlasts what the dead bot still had on the wire; ours must, too.
            await asyncio.sleep(_LONGEST_DELAY + 0.2)
            await self._make_the_stop_long()
        await self._solo.come_back()

    async def _moment(self) -> Callable[[], None] | None:
        """Wait for an observed moment, or for a random time when it does not come.

        Returns what becomes of the request after the kill: the other side may act on it, or never get it.
        """
        await asyncio.sleep(self._chance.uniform(0, 2))
        if self._chance.random() < 0.2:
            return None
        if self._chance.random() < 0.4:
            route, stage = self._chance.choice(_API_MOMENTS)
            question = self._stage.api.hold(route, stage=stage)
            return question.release if await _comes(question) else None
        route, stage = self._chance.choice(_DISCORD_MOMENTS)
        call = self._stage.discord.hold(route, stage=stage)
        return self._chance.choice([call.release, call.drop]) if await _comes(call) else None

    async def _make_the_stop_long(self) -> None:
        """As if the bot had been down for longer than Discord remembers nonces."""
        self.tally.long_stops += 1
        self.tally.stops_at.append(f"{datetime.now(tz=UTC):%H:%M:%S.%f}")
        self._stage.discord.forget_nonces()
        await tell(
            self._cast,
            f"UPDATE deliveries SET sending_at = sending_at - {_LONGER_THAN_A_NONCE} WHERE state = 'due'",
        )

    async def _settle(self) -> None:
        """Until nothing is owed any more, or for two minutes."""
        deadline = time.monotonic() + _SETTLING
        # Looked for in the bot's database, which tells nobody when it changes.
        while await ask(self._cast, _OWED) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await self._cast.end()
        for channel in self._channels:
            for message in channel.messages:
                if any(button.label == "Delete" for button in message.buttons):
                    task_id = message.content.split("`")[1]
                    self.tally.results[task_id] += 1
                    posted = f"{message.created_at:%H:%M:%S.%f}"
                    self.tally.posted_at.setdefault(task_id, []).append(posted)
        videos = self._stage.folder / "data" / "videos"
        self.tally.left_files = sum(1 for _ in videos.iterdir())
        self.tally.bugs = [line for line in self._cast.said() if " a bug " in line]
        self.tally.surprises = [*self._stage.discord.surprises, *self._stage.api.surprises]


async def _comes(hold: Any) -> bool:
    try:
        await hold.reached(within=2)
    except (TimeoutError, AssertionError):  # Discord's stand-in says it so, the API's so
        hold.release()
        return False
    return True


def table(tally: Tally) -> str:
    lines = [
        f"{tally.seconds / 60:.1f} minutes, {tally.processes}, {tally.faults} faults on the wire",
        f"kills: {tally.kills}, {tally.long_stops} of them with a stop longer than a nonce lives",
        f"lost for a while: {', '.join(f'{count} {what}' for what, count in sorted(tally.losses.items()))}",
        f"tracked: {len(tally.acknowledged)} acknowledged, {len(tally.unacknowledged)} not (it was down)",
        f"results: {sum(tally.results.values())}",
        f"lost: {len(tally.lost)}   doubled: {len(tally.doubled)}   bugs: {len(tally.bugs)}",
        f"files left: {tally.left_files} (half ones of the killed, where processes share a folder)",
    ]
    lines += [f"lost {task_id}" for task_id in tally.lost[:20]]
    lines += [f"doubled {task_id}: {', '.join(tally.posted_at[task_id])}" for task_id in tally.doubled[:20]]
    if tally.doubled:
        lines.append(f"long stops at {', '.join(tally.stops_at)}")
    lines += [f"bug: {line}" for line in tally.bugs[:20]]
    lines += [f"surprise: {surprise}" for surprise in tally.surprises[:20]]
    return "\n".join(lines)


def as_json(tally: Tally) -> dict[str, object]:
    return {
        "seconds": tally.seconds,
        "processes": tally.processes,
        "kills": tally.kills,
        "losses": dict(tally.losses),
        "long_stops": tally.long_stops,
        "faults": tally.faults,
        "acknowledged": len(tally.acknowledged),
        "unacknowledged": len(tally.unacknowledged),
        "results": sum(tally.results.values()),
        "lost": tally.lost,
        "doubled": tally.doubled,
        "files_left": tally.left_files,
        "bugs": tally.bugs,
        "failed": bool(tally.lost or tally.doubled or tally.bugs),
    }
