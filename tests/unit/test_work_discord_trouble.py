"""What the deliverer does about each kind of trouble with Discord, for how long, and what ends it."""

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
    """Every attempt when it is due, until it ended or the time is over. When the attempts were."""
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
def test_next_form_leaves_out_what_was_refused_and_never_comes_back(
    reaction: Reaction, form: Form, video: bool, attached: bool
):
    """Refused as a whole: without the file. Refused for its words: without words. No message says nothing."""
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


async def test_missing_permission_for_text_as_well_tries_no_other_form(env: DelivererEnv):
    """Computed: the link would be refused, too."""
    await track_ended(env.store, env.clock)
    env.discord.takes_text = False
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    await env.deliver()

    assert forms(env) == [Form.WHOLE]
    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.MAY_NOT_POST))]


# -- odd answers -----------------------------------------------------------------------------------


async def test_odd_answer_is_tried_six_times_within_a_minute_and_then_in_the_next_form(env: DelivererEnv):
    """In the same attempt; the next attempt begins with the form that was not refused."""
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


async def test_each_kind_of_trouble_is_counted_apart(env: DelivererEnv):
    """Seven failures of the network are no reason to leave the video out, nor are five odd answers."""
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


# -- the person is told soon -----------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [DONE, FAILED], ids=["video", "failed"])
@pytest.mark.parametrize(
    "answer", [odd(), make_refusal(FORM_REFUSED), make_refusal(WORDS_REFUSED)], ids=["odd", "form", "words"]
)
async def test_channel_that_never_takes_it_is_told_of_within_two_minutes(
    env: DelivererEnv, answer: Exception, verdict: Final
):
    """And costs eight uploads at most."""
    await track_ended(env.store, env.clock, verdict)
    env.discord.always[CHANNEL] = answer
    began = env.clock()
    await deliver_for(env, DAY)

    assert env.clock() - began <= 2 * MINUTE
    assert [person for person, _ in env.discord.sent_privately] == [OWNER]
    assert env.discord.uploads <= 8
    delivery = await env.delivery()
    assert (delivery.state, delivery.obstacle) == (DeliveryState.UNDELIVERABLE, "form")


async def test_passing_trouble_costs_twelve_uploads_an_hour_at_most(env: DelivererEnv):
    """However short the pause is that Discord asks for."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing(retry_after=0.1)
    attempts = await deliver_for(env, 6 * HOUR)

    busiest = max(sum(at <= other < at + HOUR for other in attempts) for at in attempts)
    assert busiest <= 12
    assert len(attempts) >= 6 * 4
    assert (await env.delivery()).state is DeliveryState.DUE


# -- passing trouble for a day ---------------------------------------------------------------------


async def test_passing_trouble_of_all_channels_ends_nothing(env: DelivererEnv):
    """Discord is away: it is posted when it is back, however late."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = passing()
    await deliver_for(env, 3 * DAY)
    assert (await env.delivery()).state is DeliveryState.DUE
    env.discord.always.clear()
    await make_due(env)
    await env.deliver()

    assert env.discord.sent_privately == []
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_passing_trouble_of_one_channel_ends_after_a_day(env: DelivererEnv):
    """Others take messages: it is something about this one. The person gets the video."""
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


async def test_day_without_attempts_is_no_day_of_trouble(env: DelivererEnv):
    """The bot was stopped meanwhile: a few attempts say little."""
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


# -- bugs of ours ----------------------------------------------------------------------------------


async def test_bug_of_ours_keeps_a_delivery_back_three_times_and_then_ends_it(env: DelivererEnv):
    """The person is told, and without the video, because the bug may be in handling it."""
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


async def test_bug_in_telling_does_not_keep_a_delivery_for_ever(env: DelivererEnv):
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
    """Perhaps it is the file that is not taken; the delivery ends all the same."""
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
    """Sent once, as everything: since the first one was handed over."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(passing())
    began = env.clock()
    await env.deliver()
    await make_due(env)
    env.clock.advance(MINUTE)
    await env.deliver()

    assert [since for _, since in env.discord.tried_privately] == [None, began]


async def test_person_who_takes_no_direct_messages_is_not_asked_again(env: DelivererEnv):
    """The card and the list still show it."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(make_refusal(Reaction.PERSON_UNREACHABLE))
    await env.deliver()

    delivery = await env.delivery()
    assert delivery.state is DeliveryState.UNDELIVERABLE
    assert delivery.told_at == env.clock()
    assert len(env.discord.tried_privately) == 1


async def test_file_that_another_channel_removed_meanwhile_is_no_bug(env: DelivererEnv):
    """Both channels are done with it at the same moment: the next attempt downloads it again."""
    await track_ended(env.store, env.clock)
    env.discord.always[CHANNEL] = make_refusal(Reaction.NO_ACCESS)
    env.discord.unreachable.append(FileNotFoundError("video.mp4"))
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.tell_attempt) == (DeliveryState.DUE, 1)


async def test_channel_that_refused_is_left_alone_while_its_person_is_told(env: DelivererEnv):
    """Each attempt at the direct message would otherwise be an upload to the channel as well."""
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


async def test_channel_whose_rights_changed_meanwhile_is_tried_again(env: DelivererEnv):
    """Before the person: they get the result where they asked for it."""
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


# -- files are not taken ---------------------------------------------------------------------------


async def test_video_goes_by_direct_message_before_its_link_is_posted(env: DelivererEnv):
    """Attach Files is missing: the person has the video, the channel its link."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    await env.deliver()

    ((told, _),) = env.discord.tried_privately
    assert told.attachment is not None
    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.MAY_NOT_ATTACH))]
    assert forms(env) == [Form.WHOLE, Form.WITHOUT_FILE]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_direct_message_that_is_refused_for_good_does_not_hold_the_link_back(env: DelivererEnv):
    """Many people take none."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(MISSING_PERMISSION))
    env.discord.unreachable.append(make_refusal(Reaction.PERSON_UNREACHABLE))
    await env.deliver()

    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_passing_trouble_of_the_direct_message_holds_the_link_back_for_ten_minutes(env: DelivererEnv):
    """Then the link is better than nothing."""
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
    """A database that was put back knows nothing of what was sent since."""
    await track_ended(env.store, env.clock)
    await restart(env)
    await env.deliver()

    assert env.discord.looked_up == [CHANNEL]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_message_that_nothing_is_known_of_is_sent_with_a_line_in_the_log(
    env: DelivererEnv, caplog: pytest.LogCaptureFixture
):
    """Never lost comes before never twice; the operator reads why."""
    await track_ended(env.store, env.clock)
    await restart(env)
    env.discord.look_up = LookUp(read=ReadRange(9, 5))
    env.discord.errors.append(passing())
    await env.deliver()

    delivery = await env.delivery()
    assert len(env.discord.tried) == 1
    assert (delivery.read_newest, delivery.read_oldest) == (9, 5)
    assert any("perhaps a second time" in message for message in caplog.messages)


async def test_revived_delivery_keeps_its_first_end_and_tells_nobody_twice(env: DelivererEnv):
    """A permission that comes and goes."""
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
    """Three wrong ids are one message; it waits for six intervals at most."""
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
