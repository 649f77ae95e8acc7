"""The ids that a log line carries as fields, so that one task can be followed through a large log."""

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.errors import DiscordUnavailable
from bot.core.log_fields import describe_work, log_about, log_by, without_private_texts
from bot.core.reactions import Reaction
from bot.core.results import nonce_part
from bot.core.tasks import Card, CardView, DueDelivery
from bot.core.tracking import PressedButton
from bot.logs import ConsoleFormat, JsonFormat, Redaction
from bot.storage.store import Store
from bot.work.card_updater import CardUpdater
from bot.work.loop import DurableLoop
from bot.work.tracking import Tracking
from tests.deliverer_env import DelivererEnv, make_due
from tests.factories import (
    CHANNEL,
    DONE,
    GUILD,
    OWNER,
    TASK,
    ask_about,
    look_up,
    make_delivery,
    make_refusal,
    make_request,
    make_task,
    track,
    track_ended,
)
from tests.timing import FakeClock, eventually
from tests.unit.test_work_poller import PollerEnv

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Returns the log lines so far, in the form of LOG_FORMAT=json."""
    caplog.set_level(logging.INFO)
    # pytest has one handler for all tests, so the formatter is restored after the test.
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
    """Lines of the video cache, the poster, the direct message, and the loop that meets a bug."""
    await track_ended(env.store, env.clock)
    delivery = await env.delivery()
    env.discord.errors.extend([make_refusal(Reaction.MISSING_PERMISSION), LookupError("a bug")])
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
        "bot.work.telling",
        "bot.work.loop",
    ]
    assert "a bug in handling" in said[-1]["message"]
    for entry in said:
        assert entry["action"] == "deliver"
        assert (entry["task_id"], entry["delivery_id"]) == (TASK, delivery.id)
        assert (entry["guild_id"], entry["channel_id"], entry["person_id"]) == (GUILD, CHANNEL, OWNER)
        assert entry["attempt"] == 1


async def test_attempt_field_is_the_number_of_the_attempt(env: DelivererEnv, lines: Lines):
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([DiscordUnavailable("503"), make_refusal(Reaction.NO_ACCESS)])
    await env.deliver()
    await make_due(env)
    await env.deliver()

    attempts = [(e["attempt"], e["level"]) for e in lines() if e["logger"] == "bot.work.deliverer"]
    assert attempts == [(1, "WARNING"), (2, "WARNING")]


async def test_outcomes_written_together_keep_their_own_ids(store: Store, clock: FakeClock, lines: Lines):
    """One job writes for several tasks; a line must not carry the id of the first one."""
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
            raise make_refusal(Reaction.MESSAGE_GONE)

        async def find_card(self, view: CardView) -> int | None:
            raise NotImplementedError

    updater = CardUpdater(queue=store.cards, editor=Refusing(), clock=clock)
    await updater.handle(1, CardView(Card(5, GUILD, CHANNEL, 900), (), attempt=2))

    (entry,) = lines()
    assert entry["message"].startswith("card 5 stays as it is")
    assert (entry["guild_id"], entry["channel_id"], entry["attempt"]) == (GUILD, CHANNEL, 3)


async def test_track_and_untrack_are_logged_with_the_ids(tracking: Tracking, store: Store, lines: Lines):
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
        "person_id": OWNER,
    }
    assert other["task_id"] == "vgen_other"
    assert untracked["message"] == f"{TASK} untracked"
    assert (untracked["action"], untracked["task_id"], untracked["channel_id"]) == ("untrack", TASK, CHANNEL)


async def test_stop_of_a_card_is_logged_with_how_much_and_by_whom(tracking: Tracking, lines: Lines):
    """Once, and not when nothing was stopped."""
    registration = await tracking.track(make_request(TASK, "vgen_other"))
    assert registration.card
    card_id = registration.card.card.id
    pressed = PressedButton(0, nonce_part(registration.card.rows[0].delivery.nonce))
    for _ in range(2):
        await tracking.stop_card(card_id, OWNER, pressed, may_cancel_any=False)

    *_, stopped = entries = lines()
    assert len(entries) == 3
    assert stopped["message"] == f"2 deliveries of card {card_id} untracked"
    assert (stopped["action"], stopped["person_id"]) == ("stop_card", OWNER)


async def test_redelivery_is_logged_with_the_ids(tracking: Tracking, env: DelivererEnv, lines: Lines):
    """It explains a second result message."""
    await track_ended(env.store, env.clock)
    await env.deliver()
    await tracking.redeliver(CHANNEL, TASK, OWNER)

    entry = lines()[-1]
    assert (entry["action"], entry["task_id"], entry["channel_id"]) == ("redeliver", TASK, CHANNEL)


async def test_direct_message_is_logged_with_its_recipient(env: DelivererEnv, lines: Lines):
    """The log is the only record of it."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.NO_ACCESS))
    await env.deliver()

    [told] = [entry for entry in lines() if "was notified by direct message" in entry["message"]]
    assert (told["task_id"], told["channel_id"], told["person_id"]) == (TASK, CHANNEL, OWNER)


def test_lines_of_a_command_name_its_user_and_channel(lines: Lines):
    """Also the lines of libraries."""

    def job() -> None:
        log_by("status", guild_id=GUILD, channel_id=CHANNEL, person_id=OWNER)
        logging.getLogger("discord.http").warning("We are being rate limited")

    contextvars.copy_context().run(job)

    [entry] = lines()
    assert (entry["action"], entry["guild_id"], entry["channel_id"]) == ("status", GUILD, CHANNEL)
    assert entry["person_id"] == OWNER


def test_ids_of_a_line_override_those_of_its_job(lines: Lines):
    def job() -> None:
        log_about("poll", make_task())
        logging.getLogger("bot").info("about another", extra={"task_id": "vgen_other"})

    contextvars.copy_context().run(job)

    (entry,) = lines()
    assert (entry["task_id"], entry["action"]) == ("vgen_other", "poll")


async def test_ids_end_with_their_job(lines: Lines):
    """The next job on the same loop has other ids."""

    async def about() -> None:
        log_about("poll", make_task())
        logging.getLogger("bot").info("inside")

    await asyncio.create_task(about())
    logging.getLogger("bot").info("outside")

    assert [entry.get("task_id") for entry in lines()] == [TASK, None]


# -- lines about a bug hold only ids -------------------------------------------------------------------

LINK = "https://storage.example/v/a.mp4?X-Signature=s3cr3t&Expires=1"
NOTE = "for grandma's 80th\nbirthday"


@pytest.mark.parametrize(
    "error",
    [
        LookupError(f"no video at {LINK}"),
        KeyError(LINK),
        ValueError(f"cannot read {NOTE}"),
        KeyError(NOTE),
        ValueError(json.dumps({"note": NOTE, "link": LINK})),
    ],
    ids=["link", "link in quotes", "note", "note in quotes", "both in JSON"],
)
@pytest.mark.parametrize("form", [JsonFormat, ConsoleFormat])
async def test_bug_is_logged_without_link_and_note(
    env: DelivererEnv,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    form: Callable[[Redaction], logging.Formatter],
):
    """The work is named by kind and ids. Traceback and stored reason hold nothing more."""
    monkeypatch.setattr(caplog.handler, "formatter", form(Redaction([])))
    await track(env.store, env.clock, note=NOTE)
    await ask_about(env.store, env.clock, replace(DONE, video_url=LINK))
    env.discord.errors.append(error)
    loop = DurableLoop(
        env.store.deliveries, env.deliverer, slots=1, clock=env.clock, shutdown_timeout=1, may_cancel=False
    )
    running = asyncio.create_task(loop.run(env.stop))
    await eventually(lambda: "a bug in handling" in caplog.text)
    await eventually(lambda: not loop._jobs)
    env.stop.set()
    await running

    [row] = await env.store.diagnosis.quarantined()
    for text in (caplog.text, row.reason):
        assert type(error).__name__ in text
        assert "s3cr3t" not in text
        assert "grandma" not in text
    assert f"a bug in handling DueDelivery task_id={TASK} delivery_id=1 " in caplog.text
    assert "Traceback" in caplog.text


def test_short_note_is_masked_only_as_a_whole_word():
    """The same letters may be part of any other word."""
    due = DueDelivery(make_delivery(note="a"), make_task(), ())

    def work() -> str:
        log_about("deliver", due)
        return without_private_texts("LookupError: a, KeyError: 'a', banana")

    assert contextvars.copy_context().run(work) == "LookupError: ********, KeyError: '********', banana"


def test_link_is_logged_as_its_host_only():
    """Also in a job that handles no piece of work."""
    said = "x https://h.example/a?b#c), 'http://h.example:8080/v' https://h.example and HTTPS://H.example?k=1"

    assert without_private_texts(said) == (
        "x https://h.example/******** 'http://h.example:8080/********' https://h.example "
        "and HTTPS://H.example/********"
    )


def test_work_of_another_kind_is_described_by_its_kind():
    assert describe_work("a note") == "str"
    assert describe_work(make_task()) == f"TrackedTask task_id={TASK}"


async def test_error_of_a_refused_row_holds_no_values(store: Store):
    """SQLAlchemy includes the values of a statement by default."""
    statement = sa.text("INSERT INTO key_values (name, value) VALUES (NULL, :note)")
    with pytest.raises(sa.exc.IntegrityError) as refused:
        await store.diagnosis._database.run(lambda connection: connection.execute(statement, {"note": NOTE}))

    assert NOTE not in str(refused.value)
