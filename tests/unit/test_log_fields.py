"""The ids that a log line carries as fields: the way to follow one task through a log of thousands."""

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from bot.core.errors import DiscordUnavailable, PermissionLost, Undeliverable
from bot.core.log_fields import log_about
from bot.core.problems import ProblemCode
from bot.core.tasks import Card, CardView
from bot.logs import JsonFormat, Redaction
from bot.storage.store import Store
from bot.work.card_updater import CardUpdater
from bot.work.loop import DurableLoop
from bot.work.tracking import Tracking
from tests.deliverer_env import DelivererEnv, make_due
from tests.factories import CHANNEL, GUILD, OWNER, TASK, look_up, make_request, make_task, track, track_ended
from tests.timing import FakeClock, eventually
from tests.unit.test_work_poller import PollerEnv

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What was logged so far, as LOG_FORMAT=json writes it."""
    caplog.set_level(logging.INFO)
    # pytest has one handler for all tests: the next one must find it as it was.
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormat(Redaction([])))
    return lambda: [json.loads(line) for line in caplog.text.splitlines()]


@pytest.fixture
def tracking(store: Store, env: DelivererEnv) -> Tracking:
    return Tracking(
        store=store,
        videos=env.videos,
        fresh_links=env.fresh_links,
        clock=env.clock,
        on_work=lambda: None,
    )


async def test_every_line_of_a_delivery_carries_its_ids(env: DelivererEnv, lines: Lines):
    """From each module: the video cache, the poster, the deliverer, and the loop that meets a bug in them."""
    await track_ended(env.store, env.clock)
    delivery = await env.delivery()
    env.discord.errors.extend([PermissionLost(ProblemCode.MAY_NOT_POST), LookupError("a bug")])
    loop = DurableLoop(
        env.store.deliveries, env.deliverer, slots=1, clock=env.clock, shutdown_timeout=1, may_cancel=False
    )
    running = asyncio.create_task(loop.run(env.stop))
    await eventually(lambda: any("a bug" in entry["message"] for entry in lines()))
    env.stop.set()
    await running

    said = [entry for entry in lines() if "task_id" in entry]
    assert [entry["logger"] for entry in said] == [
        "bot.work.video_cache",
        "bot.work.posting",
        "bot.work.loop",
    ]
    assert "a bug in handling" in said[-1]["message"]
    for entry in said:
        assert entry["action"] == "deliver"
        assert (entry["task_id"], entry["delivery_id"]) == (TASK, delivery.id)
        assert (entry["guild_id"], entry["channel_id"]) == (GUILD, CHANNEL)
        assert entry["attempt"] == 1


async def test_attempt_is_the_one_that_is_made(env: DelivererEnv, lines: Lines):
    """The second line is about the second attempt."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([DiscordUnavailable("503"), Undeliverable(ProblemCode.NO_ACCESS)])
    await env.deliver()
    await make_due(env)
    await env.deliver()

    attempts = [(e["attempt"], e["level"]) for e in lines() if e["logger"] == "bot.work.deliverer"]
    assert attempts == [(1, "WARNING"), (2, "WARNING")]


async def test_outcomes_written_together_keep_their_own_ids(store: Store, clock: FakeClock, lines: Lines):
    """One job writes for many: a line must not carry the id of the task that came first."""
    await track(store, clock, "a", "bb")
    env = PollerEnv(store, clock)
    await env.poll()

    assert env.queue.batches == [2]
    said = [(entry["message"], entry["task_id"], entry["action"]) for entry in lines()]
    assert sorted(said) == [("a is queued", "a", "poll"), ("bb is queued", "bb", "poll")]


async def test_card_that_cannot_be_edited_names_its_channel(store: Store, clock: FakeClock, lines: Lines):
    """A card has several tasks, but one channel."""

    class Refusing:
        async def edit_card(self, view: CardView) -> None:
            raise Undeliverable(ProblemCode.MESSAGE_DELETED)

    updater = CardUpdater(queue=store.cards, editor=Refusing(), clock=clock)
    await updater.handle(1, CardView(Card(5, GUILD, CHANNEL, 900), (), attempt=2))

    (entry,) = lines()
    assert entry["message"].startswith("card 5 stays as it is")
    assert (entry["guild_id"], entry["channel_id"], entry["attempt"]) == (GUILD, CHANNEL, 3)


async def test_what_people_ask_for_is_logged_with_the_ids(tracking: Tracking, store: Store, lines: Lines):
    """The beginning of a task's story, and how it may end early."""
    await tracking.track(make_request(TASK, "vgen_other"))
    delivery = (await look_up(store)).delivery
    await tracking.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)
    await tracking.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)

    tracked, other, untracked = lines()
    assert tracked == {
        **{name: tracked[name] for name in ("at", "level", "logger")},
        "message": f"{TASK} tracked",
        "action": "track",
        "task_id": TASK,
        "delivery_id": delivery.id,
        "guild_id": GUILD,
        "channel_id": CHANNEL,
    }
    assert other["task_id"] == "vgen_other"
    assert untracked["message"] == f"{TASK} untracked"
    assert (untracked["action"], untracked["task_id"], untracked["channel_id"]) == ("untrack", TASK, CHANNEL)


async def test_redelivery_is_logged_with_the_ids(tracking: Tracking, env: DelivererEnv, lines: Lines):
    """Why a second message came."""
    await track_ended(env.store, env.clock)
    await env.deliver()
    await tracking.redeliver(CHANNEL, TASK, OWNER)

    entry = lines()[-1]
    assert (entry["action"], entry["task_id"], entry["channel_id"]) == ("redeliver", TASK, CHANNEL)


def test_line_with_ids_of_its_own_keeps_them(lines: Lines):
    """It knows better than the job in which it is written."""

    def job() -> None:
        log_about("poll", make_task())
        logging.getLogger("bot").info("about another", extra={"task_id": "vgen_other"})

    contextvars.copy_context().run(job)

    (entry,) = lines()
    assert (entry["task_id"], entry["action"]) == ("vgen_other", "poll")


async def test_ids_end_with_their_job(lines: Lines):
    """The next job on the same loop is about something else."""

    async def about() -> None:
        log_about("poll", make_task())
        logging.getLogger("bot").info("inside")

    await asyncio.create_task(about())
    logging.getLogger("bot").info("outside")

    assert [entry.get("task_id") for entry in lines()] == [TASK, None]
