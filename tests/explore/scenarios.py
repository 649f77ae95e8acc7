"""What people, the API and Discord do in each scenario, and what may happen at each of its steps."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak.clip import small_clip
from bot.core.answers import Answer, AnswerKind
from bot.core.clock import SECOND
from bot.storage.migrations import STEPS, Step, migrate
from bot.storage.store import open_database
from tests.explore.api_model import FAILED, FOREVER, FRESH, UNKNOWN, WAITING, Film, Script, completed
from tests.explore.discord_model import ALL, ATTACH, HISTORY, VIEW, Content, Refused
from tests.explore.people import Bell, Command, Forget, Redeliver, Track, Untrack
from tests.explore.schedule import Kind, World

Event = Callable[[World], object]
Asked = tuple[float, Callable[[], Command]]
SMALL = small_clip().content
LARGE = SMALL + (4_000).to_bytes(4) + b"free" + bytes(3_992)
EVERY_KIND = tuple(Kind)
STOPS_AND_FREEZES = (
    *(Kind.STOP_AFTER, Kind.STOP_AFTER_LONG),
    *(Kind.FREEZE_BEFORE, Kind.FREEZE_AFTER),
)
BROKEN_CALLS = (Kind.LOST, Kind.FAIL)
ANNA, BEN, CARA = 501, 502, 503
HALL, YARD, LOFT = 11, 12, 13


def _nothing(world: World) -> None:
    """Nothing is different from an ordinary day."""


@dataclass(frozen=True)
class Scenario:
    """`asks` are the commands by time in seconds; `events` may happen at any step, by name."""

    name: str
    asks: Sequence[Asked]
    tasks: Callable[[], Mapping[str, Script]]
    films: Callable[[], Mapping[str, Film]] = dict
    happens: Sequence[tuple[float, Event]] = ()
    events: Mapping[str, Event] = field(default_factory=dict)
    kinds: Sequence[str] = STOPS_AND_FREEZES
    prepare: Event = _nothing
    while_down: Event = _nothing
    template: str = "new.db"
    smaller: bytes = SMALL
    interval: int = 30 * SECOND
    workers: int = 1
    since: float | None = None  # what comes before is as in another scenario, and not broken here
    parts: int = 1  # tests into which its single steps are divided
    hides_history: bool = False
    is_poisoned: bool = False
    is_old: bool = False

    @property
    def begins_at(self) -> float:
        return min((at for at, _ in self.asks), default=0.0) if self.since is None else self.since

    def agenda(self, world: World) -> list[tuple[float, Callable[[], object]]]:
        asked = [(at, lambda make=make: world.ask(make())) for at, make in self.asks]
        return [*asked, *((at, lambda event=event: event(world)) for at, event in self.happens)]


def _track(at: float, channel: int, person: int, *ids: str) -> Asked:
    return at, lambda: Track(channel, person, ids)


def _late(link: str, until: float = 20) -> Script:
    return [(until, WAITING), (FOREVER, completed(link))]


def _one_task() -> dict[str, Script]:
    return {"a": _late("a")}


def _ready() -> dict[str, Script]:
    return {"a": [(FOREVER, completed("a"))]}


def _failed() -> dict[str, Script]:
    return {"a": [(FOREVER, FAILED)]}


def _one_film() -> dict[str, Film]:
    return {"a": Film(SMALL)}


# -- what people do --------------------------------------------------------------------------------

ONE_TASK = Scenario(
    "one-task",
    [_track(1, HALL, ANNA, "a")],
    _one_task,
    _one_film,
    kinds=EVERY_KIND,
    parts=6,
)

COMMANDS = Scenario(
    "commands",
    [_track(1, HALL, ANNA, "a"), (90, lambda: Redeliver(HALL, ANNA, ("a",)))],
    _one_task,
    _one_film,
    events={
        "untrack": lambda world: world.ask(Untrack(HALL, BEN, ("a",))),
        "redeliver": lambda world: world.ask(Redeliver(HALL, BEN, ("a",))),
        "forget-me": lambda world: world.ask(Forget(0, ANNA)),
        "bell": lambda world: world.ask(Bell(HALL, BEN)),
        "track": lambda world: world.ask(Track(HALL, BEN, ("a",))),
    },
    kinds=(),
    parts=8,
)

THREE_CHANNELS = Scenario(
    "three-channels",
    [_track(1, HALL, ANNA, "a"), _track(2, YARD, BEN, "a"), _track(3, LOFT, CARA, "a")],
    _ready,
    _one_film,
    parts=4,
)

_UNKNOWN = [(FOREVER, UNKNOWN)]
MIXED_IDS = Scenario(
    "mixed-ids",
    [_track(1, HALL, ANNA, "u1", "u2", "u3", "f")],
    lambda: {"u1": _UNKNOWN, "u2": _UNKNOWN, "u3": _UNKNOWN, "f": [(40, UNKNOWN), (FOREVER, FAILED)]},
    events={"untrack": lambda world: world.ask(Untrack(HALL, ANNA, ("u2",)))},
    kinds=(*STOPS_AND_FREEZES, Kind.LOST),
    parts=8,
)

TWENTY_IDS = Scenario(
    "twenty-ids",
    [_track(1, HALL, ANNA, "u0", *(f"f{n}" for n in range(14)), "u1", "c0", "c1", "c2", "u2")],
    lambda: {
        **{f"u{n}": _UNKNOWN for n in range(3)},
        **{f"c{n}": _late(f"c{n}", 30 * n) for n in range(3)},
        **{f"f{n}": [(FOREVER, FAILED)] for n in range(14)},
    },
    lambda: {f"c{n}": Film(SMALL) for n in range(3)},
    kinds=(Kind.STOP_AFTER, Kind.FREEZE_AFTER),
    parts=4,
)

# -- what Discord does -----------------------------------------------------------------------------


def _refuse_words(content: Content) -> Refused | None:
    return Refused(400, 200000) if content.words else None


def _refuse_everything(content: Content) -> Refused | None:
    return Refused(400, 40001)


def _refuse(world: World) -> None:
    world.discord.channel(HALL).limit = 2_500
    world.discord.channel(YARD).refuses = _refuse_words
    world.discord.channel(LOFT).refuses = lambda c: None if c.kind == "card" else _refuse_everything(c)


REFUSED_UPLOADS = Scenario(
    "refused-uploads",
    [_track(1, HALL, ANNA, "a"), _track(2, YARD, BEN, "b"), _track(3, LOFT, CARA, "a")],
    lambda: {**_ready(), "b": [(FOREVER, FAILED)]},
    lambda: {"a": Film(LARGE)},
    prepare=_refuse,
    kinds=(*STOPS_AND_FREEZES, *BROKEN_CALLS),
    parts=6,
)


def _only_text(world: World) -> None:
    world.rights(HALL, ALL & ~ATTACH)


NO_FILES = Scenario(
    "no-files",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    prepare=_only_text,
    kinds=(*STOPS_AND_FREEZES, *BROKEN_CALLS),
    parts=2,
)


def _silenced(world: World) -> None:
    world.rights(HALL, VIEW | HISTORY)


def _restored(world: World) -> None:
    world.rights(HALL, ALL)


PERMISSION = Scenario(
    "permission",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    prepare=_silenced,
    happens=[(300, _restored)],
    events={"rights-lost": _silenced, "rights-back": _restored},
    kinds=(*STOPS_AND_FREEZES, Kind.LOST, Kind.PUT_BACK, Kind.END),
    parts=5,
)


RIGHTS_ONCE = Scenario(
    "rights-once",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    prepare=_silenced,
    events={"rights-back": _restored},
    kinds=(),
)


def _thread(world: World, *, locked: bool) -> None:
    thread = world.discord.channel(HALL)
    thread.parent_id = YARD
    thread.is_archived, thread.is_locked = True, locked


THREAD = Scenario(
    "thread",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    prepare=lambda world: _thread(world, locked=True),
    events={"unlocked": lambda world: _thread(world, locked=False)},
    kinds=(*STOPS_AND_FREEZES, Kind.LOST),
    parts=2,
)


def _gone(world: World) -> None:
    world.discord.channel(HALL).is_gone = True


CHANNEL_GONE = Scenario(
    "channel-gone",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    happens=[(1.07, _gone)],
    kinds=(*STOPS_AND_FREEZES, Kind.LOST, Kind.PUT_BACK),
    parts=2,
)


def _delete(world: World) -> None:
    for message in world.discord.messages("result"):
        message.is_deleted = True


def _delete_direct(world: World) -> None:
    for message in world.discord.messages("direct"):
        message.is_deleted = True


TOLD = Scenario(
    "told",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    _one_film,
    happens=[(1.07, _gone)],
    while_down=_delete_direct,
    kinds=(Kind.STOP_AFTER, Kind.STOP_AFTER_LONG),
    since=1.58,  # from the moment at which it is stored that the direct message was sent
)

DELETED = Scenario(
    "deleted",
    [_track(1, HALL, ANNA, "a")],
    _failed,
    while_down=_delete,
    kinds=(Kind.STOP_AFTER, Kind.LOST),
    events={"delete": _delete},
)

BUSY_CHANNEL = Scenario(
    "busy-channel",
    [_track(1, HALL, ANNA, "a")],
    _failed,
    while_down=lambda world: world.discord.say(HALL, 250),
    kinds=(Kind.STOP_AFTER_LONG, Kind.PUT_BACK),
)


def _hide(world: World) -> None:
    world.rights(HALL, ALL & ~HISTORY)


NO_HISTORY = Scenario(
    "no-history",
    [_track(1, HALL, ANNA, "a")],
    _failed,
    prepare=_hide,
    hides_history=True,
)


def _outage(world: World, lasts: float) -> None:
    channel = world.discord.channel(HALL)
    channel.is_down = True
    world.later(lasts, lambda: setattr(channel, "is_down", False))


OUTAGE = Scenario(
    "outage",
    [_track(1, HALL, ANNA, "a")],
    _failed,
    happens=[(1.18, lambda world: _outage(world, 400))],
    kinds=(Kind.LOST, Kind.FAIL, Kind.STOP_AFTER_LONG, Kind.END),
    parts=3,
)


def _wait(seconds: float) -> Answer:
    return Answer(AnswerKind.THROTTLED, retry_after=seconds)


SHARED_LATER = Scenario(
    "shared-later",
    [_track(1, HALL, ANNA, "u1", "u2", "u3", "u4")],
    lambda: {
        "u1": _UNKNOWN,
        "u2": _UNKNOWN,
        "u3": [(185, _wait(60)), (FOREVER, UNKNOWN)],
        "u4": [(415, _wait(60)), (FOREVER, UNKNOWN)],
    },
    happens=[(183, lambda world: _outage(world, 350))],
    events={"untrack": lambda world: world.ask(Untrack(HALL, ANNA, ("u2",)))},
    kinds=(Kind.LOST, Kind.STOP_AFTER_LONG),
    since=150,  # before that it is as "mixed-ids"
    parts=4,
)

# -- what the API and the host do ------------------------------------------------------------------

LINK = Scenario(
    "link",
    [_track(1, HALL, ANNA, "a")],
    lambda: {"a": [(20, WAITING), (70, completed("a")), (FOREVER, completed(f"a{FRESH}"))]},
    lambda: {"a": Film(SMALL, dead=True), f"a{FRESH}": Film(SMALL, breaks=1)},
    kinds=(*STOPS_AND_FREEZES, Kind.LOST),
    parts=5,
)

TWO_LINKS = Scenario(
    "two-links",
    [_track(1, HALL, ANNA, "a"), _track(2, YARD, BEN, "a")],
    _ready,
    lambda: {"a": Film(SMALL, dead=True)},
    kinds=(Kind.STOP_AFTER, Kind.LOST),
)

_401 = Answer(AnswerKind.KEY_REFUSED, words="invalid api key")
API_PAUSE = Scenario(
    "api-pause",
    [_track(1, HALL, ANNA, "a", "b")],
    lambda: {
        "a": [(20, WAITING), (70, _401), (FOREVER, FAILED)],
        "b": [(20, WAITING), (70, _401), (FOREVER, FAILED)],
    },
    parts=3,
)


def _perhaps(kind: AnswerKind, status: str) -> Answer:
    link = "https://host.example/a" if kind is AnswerKind.PROBABLY_COMPLETED else None
    return Answer(kind, status, video_url=link, words=None if link else "perhaps it failed")


_READY_PERHAPS = _perhaps(AnswerKind.PROBABLY_COMPLETED, "rendered")
_NO_VIDEO = Answer(AnswerKind.NO_VIDEO, "completed")
_BARE_404 = Answer(AnswerKind.NOT_FOUND)
# One id for each rule by which a task ends, or must not end yet.
_RULES: Mapping[str, Script] = {
    "unknown-late": [(100, UNKNOWN), (FOREVER, FAILED)],
    "unknown-later": [(900, UNKNOWN), (FOREVER, FAILED)],
    "unlisted-word": [(20, _READY_PERHAPS), (50, WAITING), (FOREVER, _READY_PERHAPS)],
    "unlisted-failure": [(20, _perhaps(AnswerKind.PROBABLY_FAILED, "odd")), (FOREVER, FAILED)],
    "no-video": [(150, _NO_VIDEO), (FOREVER, completed("a"))],
    "no-video-ever": [(FOREVER, _NO_VIDEO)],
    "known-then-not": [(20, WAITING), (400, UNKNOWN), (FOREVER, FAILED)],
    "known-late": [(20, UNKNOWN), (95, WAITING), (400, UNKNOWN), (FOREVER, FAILED)],
    "refused": [(900, Answer(AnswerKind.ERROR, words="no")), (FOREVER, FAILED)],
    "bare-404": [(400, _BARE_404), (FOREVER, FAILED)],
    "no-video-between": [(20, _NO_VIDEO), (50, _wait(300)), (700, _NO_VIDEO), (FOREVER, completed("a"))],
    "unknown-between": [(20, UNKNOWN), (50, _wait(300)), (700, UNKNOWN), (FOREVER, FAILED)],
    "silent": [(400, Answer(AnswerKind.SILENCE)), (FOREVER, FAILED)],
}


def _rule(name: str, script: Script) -> Scenario:
    """A bare 404 and a refusal count only beside an id about which the API says something else."""
    is_relative = name in ("bare-404", "refused")
    beside: Mapping[str, Script] = {"known": [(200, WAITING), (FOREVER, FAILED)]} if is_relative else {}
    return Scenario(
        name,
        [_track(1, HALL, ANNA, name, *beside)],
        lambda: {name: script, **beside},
        _one_film,
        kinds=(Kind.STOP_AFTER_LONG, Kind.FREEZE_LONG),
    )


ALL_404 = Scenario(
    "all-404",
    [_track(1, HALL, ANNA, "a", "b")],
    lambda: {name: [(400, _BARE_404), (FOREVER, FAILED)] for name in "ab"},
    kinds=(Kind.STOP_AFTER_LONG,),
    parts=2,
)

DEADLINE = Scenario(
    "deadline",
    [_track(1, HALL, ANNA, "a")],
    lambda: {"a": [(FOREVER, WAITING)]},
    kinds=(Kind.STOP_AFTER_LONG,),
    since=1_100,  # before that it is as "one-task"
)

# -- processes -------------------------------------------------------------------------------------


def _slow(world: World) -> None:
    world.discord.channel(HALL).seconds = 150.0


TWO_WORKERS = Scenario(
    "two-workers",
    [_track(1, HALL, ANNA, "a")],
    _ready,
    lambda: {"a": Film(SMALL, seconds=100.0)},
    prepare=_slow,
    workers=2,
    parts=3,
)

POISONED = Scenario(
    "poisoned",
    [_track(1, HALL, ANNA, "a")],
    _failed,
    prepare=lambda world: setattr(world.discord.channel(HALL), "refuses", _bug),
    is_poisoned=True,
    kinds=(Kind.STOP_AFTER,),
)


def _bug(content: Content) -> Refused | None:
    if content.kind == "result":
        raise ValueError("a bug of our own")
    return None


def make_templates(folder: Path) -> None:
    """The databases with which scenarios begin: one of today, and one of version 0.1.0 with its states."""
    asyncio.run(_migrated(folder / "new.db", STEPS))
    asyncio.run(_migrated(folder / "old.db", STEPS[:1]))
    with closing(sqlite3.connect(folder / "old.db")) as database:
        database.executescript(_OLD_ROWS.format(epoch=1_800_000_000_000))


async def _migrated(path: Path, steps: Sequence[Step]) -> None:
    database = open_database(f"sqlite:///{path}")
    await migrate(database, steps)
    await database.close()


_OLD_ROWS = """
    INSERT INTO tasks (id, state, word, registered_at, due_at, attempt, doubts)
        VALUES ('a', 'waiting', 'processing', {epoch} - 60000, {epoch}, 0, 0);
    INSERT INTO tasks (id, state, reason, registered_at, finished_at, attempt, doubts)
        VALUES ('b', 'failed', 'no', {epoch} - 60000, {epoch} - 9000, 0, 0);
    INSERT INTO cards (id, guild_id, channel_id, attempt) VALUES (1, 1, 11, 0);
    INSERT INTO deliveries (id, task_id, guild_id, channel_id, requester_id, state, nonce, card_id,
        created_at, due_at, attempt, sending_at) VALUES
        (1, 'a', 1, 11, 501, 'open', 'v1111111111', 1, {epoch} - 60000, NULL, 0, NULL),
        (2, 'b', 1, 11, 501, 'due', 'v2222222222', 1, {epoch} - 60000, {epoch} - 5000, 0, {epoch} - 5000),
        (3, 'b', 1, 12, 502, 'due', 'v3333333333', NULL, {epoch} - 60000, {epoch} - 5000, 0, NULL);
"""

MIGRATION = Scenario(
    "migration",
    [],
    _one_task,
    _one_film,
    template="old.db",
    is_old=True,
    kinds=(Kind.STOP_AFTER, Kind.STOP_AFTER_LONG, Kind.FAIL),
    parts=2,
)

_ALL = [
    *(ONE_TASK, COMMANDS, THREE_CHANNELS, MIXED_IDS, TWENTY_IDS, REFUSED_UPLOADS, NO_FILES, PERMISSION),
    *(RIGHTS_ONCE, THREAD, CHANNEL_GONE, TOLD, DELETED, BUSY_CHANNEL, NO_HISTORY, OUTAGE, SHARED_LATER),
    *(LINK, TWO_LINKS, API_PAUSE, *(_rule(name, script) for name, script in _RULES.items())),
    *(ALL_404, DEADLINE, TWO_WORKERS, POISONED, MIGRATION),
]
ALL_SCENARIOS = {scenario.name: scenario for scenario in _ALL}
