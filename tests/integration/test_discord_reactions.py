"""Each answer of Discord to each kind of call, once, twice and for ever: one result or one direct message."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

import discord
import pytest

from bot.core.errors import CannotFit
from bot.work import card_updater, deliverer
from bot.work.video_cache import VideoCache
from sandbox.discord import Channel, Message, Person
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually

# As few attempts as show that there is an end.
PASSING_ATTEMPTS, TELLING_ATTEMPTS = 6, 3
# discord.py makes a call without a file five times, where the status says that it may.
REPEATED_INSIDE = 5
HTML = "<html><h1>nginx</h1></html>"
VIA = {"Via": "1.1 google"}
# What such an answer asks for, see bot/core/reactions.py. "made": the message is there all the same.
Kind = Literal["passing", "odd", "form", "words", "permission", "closed", "large", "made"]
Call = Literal["video", "text", "card", "direct"]


def error(code: int) -> dict[str, Any]:
    return {"code": code, "message": "in Discord's words"}


@dataclass(frozen=True)
class Case:
    name: str
    kind: Kind
    status: int | None = None
    body: Any = None
    headers: dict[str, str | None] = field(default_factory=dict)


CASES = [
    *(Case(f"400/{code}", "form", 400, error(code)) for code in (50024, 20009, 160007, 40004)),
    Case("403/400001", "form", 403, error(400001)),
    Case("400 HTML", "odd", 400, HTML),
    Case("404 without a code", "odd", 404, {"message": "404: Not Found"}),
    *(Case(str(status), "odd", status, error(0)) for status in (408, 409, 425)),
    Case("429 without retry_after", "passing", 429, {"message": "slow down"}, {**VIA}),
    Case("429 HTML", "passing", 429, HTML, {**VIA}),
    Case("429 of a proxy", "passing", 429, HTML, {"Via": None, "Retry-After": "0.05"}),
    *(Case(str(status), "passing", status, "") for status in (500, 502, 503, 504)),
    Case("520 HTML", "passing", 520, HTML),
    Case("503/130000", "passing", 503, error(130000)),
    Case("403/40003", "passing", 403, error(40003)),
    Case("401 JSON", "odd", 401, error(0)),
    Case("401 HTML", "odd", 401, HTML),
    Case("413 JSON", "large", 413, error(40005)),
    Case("413 HTML", "large", 413, HTML),
    Case("413 empty", "large", 413, ""),
    Case("403/50013", "permission", 403, error(50013)),
    Case("403/50001", "closed", 403, error(50001)),
    Case("404/10003", "closed", 404, error(10003)),
    *(Case(f"400/{code}", "words", 400, error(code)) for code in (200000, 240000, 50035)),
    Case("200 HTML", "odd", 200, HTML),
    Case("made, answer lost", "made"),
]


class _QuickSleep:
    """The module asyncio as discord.py sees it, but for its sleeps between two tries."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, _: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quick_ends(monkeypatch: pytest.MonkeyPatch, quick_repeats: None) -> None:
    """Patience ends after a few attempts; no video is made smaller, because that takes long."""

    async def cannot_fit(*_: object) -> None:
        raise CannotFit("not in this test")

    monkeypatch.setattr(discord.http, "asyncio", _QuickSleep())
    monkeypatch.setattr(VideoCache, "fitted", cannot_fit)
    monkeypatch.setattr(deliverer, "_MIN_RETRY_DELAY", 10)
    monkeypatch.setattr(deliverer, "_MIN_ODD_DELAY", 10)
    monkeypatch.setattr(deliverer, "_PATIENCE", 0)
    monkeypatch.setattr(deliverer, "_MIN_ATTEMPTS", PASSING_ATTEMPTS)
    monkeypatch.setattr(deliverer, "_MAX_ATTEMPTS_TO_TELL", TELLING_ATTEMPTS)
    monkeypatch.setattr(card_updater, "_MIN_RETRY_DELAY", 1)


@dataclass
class Place:
    """One case's channel, and the person who asked there."""

    case: Case
    task_id: str
    channel: Channel
    person: Person

    def fault(self, call: Call, times: int | None) -> Fault:
        route = {
            "card": f"PATCH /channels/{self.channel.id}/messages/*",
            "direct": f"POST /channels/{self.person.direct_channel.id}/messages",
        }.get(call, f"POST /channels/{self.channel.id}/messages")
        case = self.case
        if case.kind == "made":
            return Fault(route, cut="after", times=times)
        return Fault(route, case.status, case.body, case.headers, times)

    @property
    def results(self) -> list[Message]:
        return [m for m in self.channel.messages if any(b.label == "Delete" for b in m.buttons)]

    @property
    def told(self) -> list[Message]:
        return self.person.direct_channel.messages


def places(env: InProcessEnv) -> list[Place]:
    """In one server each, because a limit of the file size is learnt for a server."""
    found = []
    for number, case in enumerate(CASES):
        guild, person = env.discord.add_guild(case.name), env.discord.add_person(f"person {number}")
        guild.join(person)
        found.append(Place(case, f"vgen_{number}", guild.add_channel("renders"), person))
    return found


def unsettled(env: InProcessEnv) -> int:
    """Deliveries and cards that are still to be worked on."""
    with closing(sqlite3.connect(env.folder / "data" / "bot.db")) as database:
        return sum(
            database.execute(f"SELECT count(*) FROM {table} WHERE due_at IS NOT NULL").fetchone()[0]
            for table in ("deliveries", "cards")
        )


def is_in_channel(case: Case, call: Call, times: int | None) -> bool:
    """Whether the channel gets the result in the end; otherwise the person is told."""
    if case.kind == "made":
        return True
    if times is None or case.kind == "closed" or (case.kind == "permission" and call == "text"):
        return False
    return times == 1 or case.kind in ("passing", "odd")


def is_told(case: Case, times: int | None) -> bool:
    """Whether the person is told in the end: a refusal leaves the form without the video alone."""
    if case.kind == "made":
        return True
    return times is not None and (times == 1 or case.kind in ("passing", "odd"))


async def settle(env: InProcessEnv, call: Call, times: int | None) -> list[Place]:
    """Every case at once, each in its channel, until nothing is left to do; the bot must still be there."""
    every = places(env)
    tasks = [env.api.create(place.task_id) for place in every]
    control = env.api.create("vgen_control")
    async with env.bot() as running:
        await env.track("vgen_control")
        for place in every:
            await place.person.slash(place.channel, "veo track", id=place.task_id)
        await env.discord.until(lambda: len(env.api.polls) > len(every))
        for place, task in zip(every, tasks, strict=True):
            if call == "direct":
                place.channel.deny(env.discord.bot, "view_channel")
            env.discord.faults.add(place.fault(call, times))
            if call == "text":
                task.fail("no")
            else:
                task.complete()
        # Trouble of one channel alone ends, which is known by what another channel takes.
        await env.discord.until(lambda: _are_tried(env, every, call), within=PATIENCE)
        control.fail("no")
        assert await env.results()
        await eventually(lambda: not unsettled(env), within=PATIENCE)
        assert not running.done()
    return every


def _are_tried(env: InProcessEnv, every: list[Place], call: Call) -> bool:
    """In one pass over the record, because it is asked after each request."""
    method = "PATCH" if call == "card" else "POST"
    tried = {r.path.split("/")[2] for r in env.discord.record if r.method == method and "/messages" in r.path}
    where = (p.person.direct_channel if call == "direct" else p.channel for p in every)
    return all(str(channel.id) in tried for channel in where)


def uploads(env: InProcessEnv, place: Place) -> int:
    where = {f"/channels/{channel.id}/messages" for channel in (place.channel, place.person.direct_channel)}
    return len([r for r in env.discord.requests("POST") if r.path in where and r.files])


TIMES = pytest.mark.parametrize("times", [1, 2, None], ids=["once", "twice", "for ever"])


@TIMES
@pytest.mark.parametrize("call", ["video", "text"])
async def test_result_is_posted_once_or_told_once(env: InProcessEnv, call: Call, times: int | None):
    """Never two, never none: in another form, or by direct message, after a few attempts."""
    for place in await settle(env, call, times):
        case, expected = place.case, is_in_channel(place.case, call, times)
        # Where files are not taken, the video goes by direct message besides.
        both = case.kind == "permission" and call == "video" and times == 1
        assert len(place.results) == expected, case.name
        assert len(place.told) == (not expected or both), case.name
        if times is None and call == "video":
            assert any(message.attachments for message in [*place.told, *place.results]), case.name
        assert uploads(env, place) <= 1 + PASSING_ATTEMPTS + 1, case.name


@TIMES
async def test_card_that_cannot_be_edited_holds_up_no_result(env: InProcessEnv, times: int | None):
    """An edit is a courtesy: it is tried ten times at most, and the result comes all the same."""
    for place in await settle(env, "card", times):
        edits = env.discord.requests("PATCH", f"/channels/{place.channel.id}/messages/*")
        assert len(place.results) == 1, place.case.name
        assert place.results[0].attachments, place.case.name
        assert place.told == [], place.case.name
        # At most an edit for the status, one for the video and one for the result.
        assert len(edits) <= 3 * 10 * REPEATED_INSIDE, place.case.name


@TIMES
async def test_direct_message_is_sent_once_or_given_up(env: InProcessEnv, times: int | None):
    """The channel is hidden: the person who asked is told, or the attempts end and are recorded."""
    for place in await settle(env, "direct", times):
        assert place.results == [], place.case.name
        assert len(place.told) == is_told(place.case, times), place.case.name
        assert uploads(env, place) <= 2 * TELLING_ATTEMPTS + 2, place.case.name
