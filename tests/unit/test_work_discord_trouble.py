"""The deliverer's reaction to each kind of trouble with Discord, its duration, and its end."""

import itertools

import pytest

from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import DiscordUnavailable
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import LookUp, ReadRange, ResultMessage, Video
from bot.core.tasks import DeliveryState, Doubt, DueDelivery, Form, Obstacle, TaskState
from bot.core.verdicts import Final
from bot.work.posting import next_form
from tests.deliverer_env import DelivererEnv, make_due, restart
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    OTHER_CHANNEL,
    OWNER,
    TASK,
    URL,
    ask_about,
    make_delivery,
    make_refusal,
    make_task,
    make_waiting,
    take_delivery,
    track,
    track_ended,
)

NOT_ACCEPTED = Problem(ProblemCode.NOT_ACCEPTED)


def odd() -> DiscordUnavailable:
    return DiscordUnavailable("Discord answered 409", reaction=Reaction.ODD)


def passing(retry_after: float | None = None) -> DiscordUnavailable:
    return DiscordUnavailable("Discord answered 503", retry_after=retry_after)


def forms(env: DelivererEnv) -> list[Form]:
    return [result.form for result in env.discord.tried]


async def deliver_for(env: DelivererEnv, duration: int) -> list[int]:
    """Make every attempt when it is due, until the delivery ends or `duration` is over; their times."""
    end, attempts = env.clock() + duration, []
    while (due_at := (await env.delivery()).due_at) is not None and due_at <= end:
        env.clock.now = max(env.clock(), due_at)
        attempts.append(env.clock())
        await env.deliver()
    return attempts


# -- forms -----------------------------------------------------------------------------------------


def result_in(form: Form, *, video: bool, attached: bool) -> ResultMessage:
    task = make_task(state=TaskState.COMPLETED if video else TaskState.FAILED, video_url=URL)
    film = Video("video.mp4", 9, 1, 1) if attached else None  # type: ignore[arg-type]
    return ResultMessage(DueDelivery(make_delivery(), task, ()), film, form=form)


FORM_REFUSED, WORDS_REFUSED = Reaction.FORM_REFUSED, Reaction.WORDS_REFUSED
MISSING_PERMISSION = Reaction.MISSING_PERMISSION


@pytest.mark.parametrize("reaction", Reaction)
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    ("video", "attached"), [(True, True), (True, False), (False, False)], ids=["video", "link", "failed"]
)
def test_next_form_leaves_out_the_refused_part_and_is_never_a_former_one(
    reaction: Reaction, form: Form, video: bool, attached: bool
):
    """Without the file if the message was refused as a whole, without texts if its words were."""
    whole = form is Form.WHOLE
    leads = {
        (FORM_REFUSED, "video"): Form.WITHOUT_FILE,
        (MISSING_PERMISSION, "video"): Form.WITHOUT_FILE,
        (WORDS_REFUSED, "video"): Form.BARE,
        (FORM_REFUSED, "failed"): Form.BARE,
        (WORDS_REFUSED, "failed"): Form.BARE,
    }
    kind = "video" if attached else "link" if video else "failed"
    expected = leads.get((reaction, kind)) if whole else None

    assert next_form(result_in(form, video=video, attached=attached), reaction) is expected


async def test_missing_permission_for_text_as_well_skips_the_link(env: DelivererEnv):
    """The bot computes its permissions: a message with the link would be refused, too."""
    await track_ended(env.store, env.clock)
    env.discord.takes_text = False
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    await env.deliver()

    assert forms(env) == [Form.WHOLE]
    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.MAY_NOT_POST))]


# -- odd answers -----------------------------------------------------------------------------------


async def test_odd_answer_is_tried_six_times_within_a_minute_and_then_in_the_next_form(env: DelivererEnv):
    """The sixth attempt also sends the next form, and later attempts begin with that form."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([*(odd() for _ in range(6)), passing()])
    began = env.clock()
    for _ in range(6):
        await env.deliver()
        due_at = (await env.delivery()).due_at
        assert due_at is not None
        env.clock.now = due_at

    delivery = await env.delivery()
    assert env.clock() - began <= 90 * SECOND
    assert forms(env) == [Form.WHOLE] * 6 + [Form.WITHOUT_FILE]
    assert (delivery.form, delivery.form_problem) == (
        Form.WITHOUT_FILE,
        Problem(ProblemCode.FILE_REFUSED).to_text(),
    )
    await env.deliver()
    assert forms(env)[-1] is Form.WITHOUT_FILE
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_each_kind_of_trouble_is_counted_separately(env: DelivererEnv):
    """Neither seven network failures nor five odd answers leave the video out."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([*(passing() for _ in range(7)), *(odd() for _ in range(5))])
    for _ in range(7):
        await make_due(env)
        await env.deliver()
    delivery = await env.delivery()
    assert (delivery.attempt, delivery.odd_attempt) == (7, 0)
    assert delivery.passing_since is not None
    for _ in range(5):
        await make_due(env)
        await env.deliver()
    delivery = await env.delivery()
    assert (delivery.attempt, delivery.odd_attempt, delivery.passing_since) == (0, 5, None)
    await make_due(env)
    await env.deliver()

    assert set(forms(env)) == {Form.WHOLE}
    assert (await env.delivery()).state is DeliveryState.POSTED


# -- the direct message to the user ---------------------------------------------------------------


@pytest.mark.parametrize("verdict", [DONE, FAILED], ids=["video", "failed"])
@pytest.mark.parametrize(
    "answer", [odd(), make_refusal(FORM_REFUSED), make_refusal(WORDS_REFUSED)], ids=["odd", "form", "words"]
)
async def test_user_is_notified_within_two_minutes_if_the_channel_refuses(
    env: DelivererEnv, answer: Exception, verdict: Final
):
    """With at most eight uploads."""
    await track_ended(env.store, env.clock, verdict)
    env.discord.always[CHANNEL] = answer
    began = env.clock()
    await deliver_for(env, DAY)

    assert env.clock() - began <= 2 * MINUTE
    assert [person for person, _ in env.discord.sent_privately] == [OWNER]
    assert env.discord.uploads <= 8
    delivery = await env.delivery()
    assert (delivery.state, delivery.obstacle) == (DeliveryState.UNDELIVERABLE, "form")


async def test_temporary_trouble_costs_at_most_twelve_uploads_an_hour(env: DelivererEnv):
    """Also if Discord asks for very short pauses."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing(retry_after=0.1)
    attempts = await deliver_for(env, 6 * HOUR)

    busiest = max(sum(at <= other < at + HOUR for other in attempts) for at in attempts)
    assert busiest <= 12
    assert len(attempts) >= 6 * 4
    assert (await env.delivery()).state is DeliveryState.DUE


# -- temporary trouble for a day -------------------------------------------------------------------


async def test_temporary_trouble_in_all_channels_ends_no_delivery(env: DelivererEnv):
    """Discord is down; results are posted when it is back, however late."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing()
    await deliver_for(env, 3 * DAY)
    assert (await env.delivery()).state is DeliveryState.DUE
    env.discord.always.clear()
    await make_due(env)
    await env.deliver()

    assert env.discord.sent_privately == []
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_temporary_trouble_in_one_channel_ends_its_delivery_after_a_day(env: DelivererEnv):
    """Other channels accept messages, so the trouble is with this one. The user gets the video."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing()
    await deliver_for(env, DAY - HOUR)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await env.deliver()
    assert (await env.delivery(OTHER_CHANNEL)).state is DeliveryState.POSTED
    assert (await env.delivery()).state is DeliveryState.DUE
    await deliver_for(env, 2 * HOUR)

    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.NOT_TAKEN))]
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_day_without_attempts_does_not_count_as_trouble(env: DelivererEnv):
    """The bot was stopped: a few attempts are too little evidence."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing()
    await env.deliver()
    env.clock.advance(SECOND)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await env.deliver()
    assert (await env.delivery(OTHER_CHANNEL)).state is DeliveryState.POSTED
    env.clock.advance(2 * DAY)
    await env.deliver()

    assert env.discord.sent_privately == []
    assert (await env.delivery()).state is DeliveryState.DUE


# -- our own bugs ----------------------------------------------------------------------------------


async def test_bug_quarantines_a_delivery_three_times_and_then_ends_it(env: DelivererEnv):
    """The user is notified without the video, because handling it may be the bug."""
    await track_ended(env.store, env.clock)
    for times in range(1, 4):
        lease, due = await take_delivery(env.store, env.clock)
        await env.deliverer.quarantine(lease, due, "KeyError: 1")
        delivery = await env.delivery()
        assert (delivery.state, delivery.quarantines) == (DeliveryState.DUE, times)
        assert delivery.due_at == env.clock() + HOUR
        env.clock.advance(HOUR)
    lease, due = await take_delivery(env.store, env.clock)
    await env.deliverer.quarantine(lease, due, "KeyError: 1")

    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.OUR_BUG))]
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE
    assert env.discord.uploads == 0


async def test_bug_in_the_direct_message_does_not_keep_the_delivery_open(env: DelivererEnv):
    """It is recorded; the card and the list show it."""
    await track_ended(env.store, env.clock)
    lease, due = await take_delivery(env.store, env.clock)
    await env.store.deliveries.postpone(due.delivery.id, lease, env.clock(), quarantines=3)
    env.discord.unreachable.append(KeyError("a bug"))
    lease, due = await take_delivery(env.store, env.clock)
    await env.deliverer.quarantine(lease, due, "KeyError: 1")

    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


# -- direct messages -------------------------------------------------------------------------------


async def test_direct_message_is_tried_twenty_times_and_six_of_them_with_the_video(env: DelivererEnv):
    """The file may be the reason for the refusals. After the last attempt the delivery ends."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.extend(passing() for _ in range(100))
    await deliver_for(env, 10 * DAY)

    told = env.discord.tried_privately
    assert [result.attachment is not None for result, _ in told] == [True] * 6 + [False] * 14
    delivery = await env.delivery()
    assert (delivery.state, delivery.obstacle) == (DeliveryState.UNDELIVERABLE, "membership")
    assert delivery.attempt == 0


async def test_second_attempt_at_a_direct_message_looks_for_the_first(env: DelivererEnv):
    """Discord may have accepted the first one although its answer was lost."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(passing())
    began = env.clock()
    await env.deliver()
    await make_due(env)
    env.clock.advance(MINUTE)
    await env.deliver()

    assert [since for _, since in env.discord.tried_privately] == [None, began]


async def test_user_without_direct_messages_is_not_sent_a_second_one(env: DelivererEnv):
    """The card and the list still show the result."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(make_refusal(Reaction.PERSON_UNREACHABLE))
    await env.deliver()

    delivery = await env.delivery()
    assert delivery.state is DeliveryState.UNDELIVERABLE
    assert delivery.told_at == env.clock()
    assert len(env.discord.tried_privately) == 1


async def test_file_that_another_channel_removed_is_downloaded_again(env: DelivererEnv):
    """Both channels finished with it at the same moment."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(FileNotFoundError("video.mp4"))
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.tell_attempt) == (DeliveryState.DUE, 1)


async def test_channel_that_refused_is_not_tried_during_the_direct_message(env: DelivererEnv):
    """Otherwise each attempt at the direct message would also upload to the channel."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.rights = 0
    env.discord.unreachable.extend(DiscordUnavailable("40003") for _ in range(3))
    for _ in range(4):
        env.clock.advance(HOUR)
        await env.deliver()

    delivery = await env.delivery()
    assert len(env.discord.tried) == 1
    assert [why.code for _, why in env.discord.sent_privately] == [ProblemCode.NO_ACCESS]
    assert (delivery.state, delivery.obstacle) == (DeliveryState.UNDELIVERABLE, Obstacle.MEMBERSHIP)


async def test_channel_whose_permissions_changed_is_tried_before_the_direct_message(env: DelivererEnv):
    """The user gets the result where the command was used."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.rights = 0
    env.discord.unreachable.append(DiscordUnavailable("40003"))
    await env.deliver()
    env.discord.always.clear()
    env.discord.rights = 7
    env.clock.advance(HOUR)
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.obstacle) == (DeliveryState.POSTED, None)
    assert env.discord.sent_privately == []


# -- files are refused -----------------------------------------------------------------------------


async def test_video_goes_by_direct_message_before_its_link_is_posted(env: DelivererEnv):
    """Without Attach Files the user gets the video and the channel its link."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    await env.deliver()

    ((told, _),) = env.discord.tried_privately
    assert told.attachment is not None
    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.MAY_NOT_ATTACH))]
    assert forms(env) == [Form.WHOLE, Form.WITHOUT_FILE]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_refused_direct_message_does_not_delay_the_link(env: DelivererEnv):
    """Many users accept no direct messages."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    env.discord.unreachable.append(make_refusal(Reaction.PERSON_UNREACHABLE))
    await env.deliver()

    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_temporary_trouble_with_the_direct_message_delays_the_link_by_ten_minutes(env: DelivererEnv):
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    env.discord.unreachable.extend(passing() for _ in range(100))
    began = env.clock()
    await deliver_for(env, 10 * MINUTE - 1)
    assert (await env.delivery()).state is DeliveryState.DUE
    assert forms(env) == [Form.WHOLE]
    await deliver_for(env, HOUR)

    assert forms(env) == [Form.WHOLE, Form.WITHOUT_FILE]
    assert (await env.delivery()).state is DeliveryState.POSTED
    assert env.clock() - began <= 25 * MINUTE


# -- look-ups --------------------------------------------------------------------------------------


async def test_delivery_of_another_run_is_looked_up_before_its_first_send(env: DelivererEnv):
    """A restored database does not know what was sent after the backup."""
    await track_ended(env.store, env.clock)
    await restart(env)
    await env.deliver()

    assert env.discord.looked_up == [CHANNEL]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_message_that_cannot_be_looked_up_is_sent_and_logged(
    env: DelivererEnv, caplog: pytest.LogCaptureFixture
):
    """A second message is better than a lost one; the log explains it."""
    await track_ended(env.store, env.clock)
    await restart(env)
    env.discord.look_up = LookUp(read=ReadRange(9, 5))
    env.discord.errors.append(passing())
    await env.deliver()

    delivery = await env.delivery()
    assert len(env.discord.tried) == 1
    assert (delivery.read_newest, delivery.read_oldest) == (9, 5)
    assert any("perhaps a second time" in message for message in caplog.messages)


async def test_revived_delivery_keeps_its_first_end_and_notifies_nobody_twice(env: DelivererEnv):
    """A permission may be removed and returned many times."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    ends = []
    for _ in range(3):
        await deliver_for(env, DAY)
        delivery = await env.delivery()
        assert delivery.state is DeliveryState.UNDELIVERABLE
        ends.append(delivery.ended_at)
        env.clock.advance(DAY)
        await env.store.guilds.revive([delivery.id], env.clock())

    assert len({*ends}) == 1
    assert len(env.discord.sent_privately) == 1


async def test_result_whose_id_was_never_known_waits_for_the_others_of_its_card(env: DelivererEnv):
    """Three wrong ids are one message. The wait is at most six intervals."""
    unknown = Final(TaskState.LOST, cause=Problem(ProblemCode.UNKNOWN_ID))
    await track(env.store, env.clock, TASK, "vgen_wrong", "vgen_late")
    for task_id in (TASK, "vgen_wrong"):
        await ask_about(env.store, env.clock, unknown, task_id=task_id)
    late = make_waiting(make_task(id="vgen_late"), doubt=Doubt.UNKNOWN_ID, doubt_count=1)
    await ask_about(env.store, env.clock, late, task_id="vgen_late")
    began = env.clock()
    for _ in itertools.takewhile(lambda _: not env.discord.tried, range(30)):
        await env.deliver()
        env.clock.now = await env.store.deliveries.next_due() or env.clock()

    (result,) = env.discord.tried
    assert {result.due.task.id, *result.shared_ids} == {TASK, "vgen_wrong"}
    assert 5 * 30 * SECOND <= env.clock() - began <= 7 * 30 * SECOND
