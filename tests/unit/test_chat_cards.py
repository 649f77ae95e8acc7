"""Cards, lists and status: what each state looks like, and that everything fits a message."""

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from bot.chat.texts import cards
from bot.chat.texts.escape import length
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import DAY, HOUR, MINUTE
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import (
    LIVE,
    Card,
    CardView,
    Delivery,
    DeliveryState,
    Doubt,
    ExistingDelivery,
    TaskState,
    TrackedTask,
    Trouble,
)
from bot.core.tracking import Overview
from tests.factories import NOW, make_delivery, make_task

LARGEST = 2**63 - 1
TICK = "\u02cb"  # what a backtick becomes inside a code span
ID = "vgen_abc123def456"
LONG_ID = "vgen_" + "x" * 117 + "abcdef"

TASK = make_task(
    id=ID,
    api_status="processing",
    api_status_since=NOW,
    registered_at=NOW - MINUTE,
    polled_at=NOW,
    due_at=NOW + 30_000,
)
DELIVERY = make_delivery(task_id=ID, guild_id=11, channel_id=22, requester_id=33, created_at=NOW - MINUTE)
LARGE = replace(
    DELIVERY,
    guild_id=LARGEST,
    channel_id=LARGEST,
    requester_id=LARGEST,
    message_id=LARGEST,
    cancelled_by=LARGEST,
    note="😀" * 100,
    last_error="t" * 500,
)
LINK = "https://cdn.example/v/1.mp4?sig=1"
STATES = list(itertools.product(DeliveryState, TaskState))


def view(*rows: ExistingDelivery) -> CardView:
    return CardView(Card(1, 11, 22, None), rows)


def row(
    state: DeliveryState = DeliveryState.OPEN,
    task_state: TaskState = TaskState.WAITING,
    task_id: str = ID,
    delivery: Delivery = DELIVERY,
) -> ExistingDelivery:
    return ExistingDelivery(
        replace(delivery, state=state, task_id=task_id), replace(TASK, id=task_id, state=task_state)
    )


def entry(delivery: Delivery = DELIVERY, task: TrackedTask = TASK, card_message_id: int | None = None):
    return ExistingDelivery(delivery, task, card_message_id)


def line_of(delivery: Delivery, task: TrackedTask) -> str:
    return cards.card(view(ExistingDelivery(delivery, task))).splitlines()[1]


# -- cards ---------------------------------------------------------------------------------------


def test_card_with_one_open_task_shows_all_that_is_known():
    """Who asked, since when, the API's own status and when it said so, what comes next."""
    assert cards.card(view(row())).splitlines() == [
        "**Tracking a Veo task** for <@33> since <t:1799999940:R>",
        f"⏳ `{ID}` · `processing` when asked at <t:1800000000:T>",
        "-# A video usually takes 2 to 5 minutes. The result is posted here with a mention.",
    ]


def test_card_with_several_tasks_counts_them_and_shows_the_note():
    """One header for all rows."""
    noted = replace(DELIVERY, note="cat `on` a bike")
    head = cards.card(view(row(delivery=noted), row(task_id="vgen_2"))).splitlines()[0]

    assert head == f"**Tracking 2 Veo tasks** for <@33> since <t:1799999940:R> · `cat {TICK}on{TICK} a bike`"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"api_status": None, "api_status_since": None, "polled_at": None}, "· not asked yet"),
        ({"api_status": None, "api_status_since": None}, "· no answer yet"),
        ({"api_status": "queued"}, "· `queued` when asked at <t:1800000000:T>"),
        ({"api_status": "`@everyone`"}, f"· `{TICK}@everyone{TICK}` when asked at <t:1800000000:T>"),
    ],
)
def test_card_line_of_an_open_task_shows_the_api_status(changes: dict[str, str | None], said: str):
    """Nothing is shown that the API did not say."""
    assert line_of(DELIVERY, replace(TASK, **changes)) == f"⏳ `{ID}` {said}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "task_state", "line"),
    [
        (DeliveryState.DUE, TaskState.COMPLETED, f"✅ `{ID}` completed; posting …"),
        (DeliveryState.DUE, TaskState.FAILED, f"❌ `{ID}` failed; posting …"),
        (DeliveryState.DUE, TaskState.LOST, f"❓ `{ID}` given up; posting …"),
        (
            DeliveryState.POSTED,
            TaskState.COMPLETED,
            f"✅ `{ID}` completed: https://discord.com/channels/11/22/44",
        ),
        (DeliveryState.POSTED, TaskState.FAILED, f"❌ `{ID}` failed: https://discord.com/channels/11/22/44"),
        (
            DeliveryState.UNDELIVERABLE,
            TaskState.COMPLETED,
            f"⚠️ `{ID}` completed, but could not be posted (the thread is locked)",
        ),
        (DeliveryState.CANCELLED, TaskState.WAITING, f"🚫 `{ID}` stopped by <@55>"),
    ],
)
def test_card_line_by_state_says_what_became_of_it(state: DeliveryState, task_state: TaskState, line: str):
    """A sign, the id, the outcome, and where to find it."""
    delivery = replace(
        DELIVERY, state=state, message_id=44, last_error="the thread is locked", cancelled_by=55
    )

    assert line_of(delivery, replace(TASK, state=task_state)) == line


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (DeliveryState.POSTED, f"✅ `{ID}` completed"),
        (DeliveryState.CANCELLED, f"🚫 `{ID}` stopped"),
        (
            DeliveryState.UNDELIVERABLE,
            f"⚠️ `{ID}` completed, but could not be posted (Discord did not accept it)",
        ),
    ],
)
def test_card_line_without_details_leaves_them_out(state: DeliveryState, line: str):
    """A deleted result has no link, and not every stop has a name."""
    assert line_of(replace(DELIVERY, state=state), replace(TASK, state=TaskState.COMPLETED)) == line


@pytest.mark.parametrize("task_id", [ID, LONG_ID], ids=["usual", "longest"])
@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(("state", "task_state"), STATES)
def test_card_in_every_state_fits_with_a_line_for_each_task(
    state: DeliveryState, task_state: TaskState, count: int, task_id: str
):
    """Also with the largest snowflakes, the longest note, status and error."""
    rows = [row(state, task_state, task_id, LARGE) for _ in range(count)]
    rows = [ExistingDelivery(each.delivery, replace(each.task, api_status="😀" * 40)) for each in rows]

    text = cards.card(view(*rows))

    lines = [line for line in text.splitlines()[1:] if not line.startswith("-# ")]
    assert length(text) <= 2000
    assert len(lines) == count
    assert all(re.search(r"`vgen_\S+(f456|def)`", line) for line in lines)


def test_card_with_one_long_id_shows_it_whole():
    """An id is shortened only when it would not fit."""
    assert f"`{LONG_ID}`" in cards.card(view(row(task_id=LONG_ID)))


def test_card_with_twenty_usual_ids_shows_them_whole():
    """The usual case needs no shortening while tasks are open."""
    text = cards.card(view(*(row(task_id=f"vgen_abc123def{i:03}") for i in range(20))))

    assert all(f"`vgen_abc123def{i:03}`" in text for i in range(20))
    assert text.count("when asked at") == 20


def test_card_with_twenty_long_ids_shortens_their_middle():
    """Both ends stay."""
    text = cards.card(view(*(row(task_id=f"{LONG_ID[:-2]}{i:02}") for i in range(20))))

    assert all(re.search(rf"`vgen_x+…\S*{i:02}`", text) for i in range(20))


def test_card_with_twenty_posted_tasks_gives_up_links_before_ids():
    """Twenty links do not fit; each task keeps its line, its id and its outcome."""
    rows = [row(DeliveryState.POSTED, TaskState.COMPLETED, f"vgen_abc123def{i:03}", LARGE) for i in range(20)]
    text = cards.card(view(*rows))

    assert all(f"✅ `vgen_abc123def{i:03}` completed\n" in f"{text}\n" for i in range(20))


@pytest.mark.parametrize("state", DeliveryState)
def test_is_settled_by_state_is_true_once_nothing_is_to_come(state: DeliveryState):
    """One live row keeps the card alive, whatever the others are."""
    assert cards.is_settled(view(row(state))) == (state not in LIVE)
    assert cards.is_settled(view(row(state), row(DeliveryState.POSTED))) == (state not in LIVE)


@pytest.mark.parametrize("state", DeliveryState)
def test_card_with_no_open_task_promises_nothing(state: DeliveryState):
    """The last line is about what is still to come."""
    assert ("The result is posted here" in cards.card(view(row(state)))) == (state is DeliveryState.OPEN)


DOUBTS = {
    Doubt.UNKNOWN_ID: "the API does not know this id (yet); I ask again",
    Doubt.NOT_FOUND: "the API finds nothing at this id's address; I go on asking",
    Doubt.NO_VIDEO: "the API says completed, but gives no video yet; I ask again",
    Doubt.COMPLETED: "it looks ready; I ask once more to be sure",
    Doubt.FAILED: "it looks failed; I ask once more to be sure",
    Doubt.PAST_DEADLINE: "still not finished after a long time; I ask once more",
}


@pytest.mark.parametrize(("doubt", "said"), DOUBTS.items(), ids=DOUBTS.keys())
@pytest.mark.parametrize("status", [None, "processing"])
def test_card_shows_what_is_doubtful_at_once(doubt: Doubt, said: str, status: str | None):
    """Instead of the last status, which is not what the API says now."""
    task = replace(TASK, api_status=status, doubt=doubt, doubt_count=1)

    assert line_of(DELIVERY, task) == f"⏳ `{ID}` · {said}"


def test_card_says_nothing_of_a_single_refusal():
    """It is shown when it has lasted."""
    assert "`processing`" in line_of(DELIVERY, replace(TASK, doubt=Doubt.REFUSED, doubt_count=2, words="no"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trouble": Trouble.SILENCE}, "the API gives no usable answer at the moment; I go on asking"),
        ({"trouble": Trouble.REFUSED}, "the API refuses to say anything about this id"),
        (
            {"trouble": Trouble.REFUSED, "doubt": Doubt.REFUSED, "words": "no `access` @everyone"},
            f"the API refuses to say anything about this id: `no {TICK}access{TICK} @everyone`",
        ),
        (
            {"trouble": Trouble.SILENCE, "doubt": Doubt.UNKNOWN_ID},
            "the API gives no usable answer at the moment; I go on asking",
        ),
    ],
)
def test_card_shows_trouble_that_has_lasted(changes: dict[str, Any], said: str):
    """The API's words as code."""
    assert line_of(DELIVERY, replace(TASK, **changes)) == f"⏳ `{ID}` · {said}"


@pytest.mark.parametrize("state", [DeliveryState.DUE, DeliveryState.POSTED, DeliveryState.CANCELLED])
def test_card_of_what_has_ended_shows_no_doubt(state: DeliveryState):
    """What was doubtful before is decided."""
    task = replace(TASK, state=TaskState.COMPLETED, doubt=Doubt.NO_VIDEO, trouble=Trouble.SILENCE)

    assert "API" not in line_of(replace(DELIVERY, state=state), task)


@pytest.mark.parametrize("reason", PauseReason)
@pytest.mark.parametrize("is_shown", [True, False])
def test_card_shows_an_api_pause_that_has_lasted(reason: PauseReason, is_shown: bool):
    """Only while something on it is still polled."""
    pause = PauseState(reason, NOW - HOUR, NOW + MINUTE, is_shown)
    open_one = replace(view(row()), pause=pause)
    ended = replace(view(row(DeliveryState.POSTED, TaskState.COMPLETED)), pause=pause)

    assert ("<t:1800000060:R>" in cards.card(open_one)) is is_shown
    assert "<t:1800000060:R>" not in cards.card(ended)


@pytest.mark.parametrize("doubt", Doubt)
@pytest.mark.parametrize("trouble", [None, *Trouble])
def test_card_with_twenty_doubtful_ids_fits(doubt: Doubt, trouble: Trouble | None):
    """The longest ids, words and note at once, during a pause."""
    task = replace(TASK, api_status="😀" * 40, doubt=doubt, trouble=trouble, words="😀" * 500)
    rows = [ExistingDelivery(LARGE, replace(task, id=f"{LONG_ID[:-2]}{i:02}")) for i in range(20)]
    pause = PauseState(PauseReason.KEY_REFUSED, NOW, NOW, is_shown=True)

    text = cards.card(replace(view(*rows), pause=pause))

    assert length(text) <= 2000
    assert all(re.search(rf"`vgen_\S*{i:02}`", text) for i in range(20))


def test_card_says_in_words_why_nothing_could_be_posted():
    """A problem by its code reads like a sentence of version 0.1.0."""
    error = Problem(ProblemCode.THREAD_LOCKED).to_text()
    delivery = replace(DELIVERY, state=DeliveryState.UNDELIVERABLE, last_error=error)

    assert line_of(delivery, replace(TASK, state=TaskState.COMPLETED)) == (
        f"⚠️ `{ID}` completed, but could not be posted (the thread is archived and locked)"
    )


DOWNLOADING = replace(DELIVERY, state=DeliveryState.DUE, download_since=NOW)
READY = replace(TASK, state=TaskState.COMPLETED, finished_at=NOW, video_url=LINK, link_ends_at=NOW + DAY)
LATE_LINK = f"I cannot download it so far and go on trying. Its link: <{LINK}>"


@pytest.mark.parametrize(
    ("changes", "age", "state"),
    [
        ({}, 10 * MINUTE - 1, "posting …"),
        ({}, 10 * MINUTE, LATE_LINK),
        ({}, DAY - 1, LATE_LINK),
        ({}, DAY, "posting …"),
        ({"download_since": None}, HOUR, "posting …"),
        ({"first_sent_at": NOW + HOUR}, HOUR, "posting …"),
    ],
    ids=[
        "not yet",
        "after ten minutes",
        "while the link lives",
        "link has ended",
        "no download",
        "downloaded",
    ],
)
def test_card_line_of_a_late_download_shows_the_link(changes: dict[str, Any], age: int, state: str):
    """From ten minutes after its first try until its end."""
    shown = cards.card(view(ExistingDelivery(replace(DOWNLOADING, **changes), READY)), NOW + age)

    assert shown.splitlines()[1] == f"✅ `{ID}` completed; {state}"


@pytest.mark.parametrize("state", sorted(set(DeliveryState) - set(LIVE)))
def test_card_line_of_what_has_ended_shows_no_link(state: DeliveryState):
    """The result is there, or the person knows why not."""
    ended = replace(DOWNLOADING, state=state, ended_at=NOW + HOUR)

    assert LINK not in cards.card(view(ExistingDelivery(ended, READY)), NOW + HOUR)


@pytest.mark.parametrize("link", [LINK, LINK + 400 * "x", LINK + 8000 * "x"], ids=["short", "long", "longer"])
def test_card_with_twenty_late_downloads_fits(link: str):
    """Every id is on it, with or without its link."""
    ids = [f"vgen_{number:02d}" for number in range(20)]
    late = [
        ExistingDelivery(replace(DOWNLOADING, task_id=i), replace(READY, id=i, video_url=link)) for i in ids
    ]

    shown = cards.card(view(*late), NOW + HOUR)

    assert length(shown) <= 2000
    assert all(f"`{i}`" in shown for i in ids)


# -- /veo list -----------------------------------------------------------------------------------


def test_overview_of_an_empty_channel_says_how_to_start():
    """A sentence, not an empty list."""
    assert cards.overview(Overview((), ())) == "Nothing is tracked in this channel. `/veo track` starts it."


def test_overview_with_live_and_ended_has_both_parts():
    """Links to the card of what is open and to the result of what has ended."""
    link, since = "https://discord.com/channels/11/22/66", "<t:1799999940:R>"
    posted = replace(DELIVERY, state=DeliveryState.POSTED, message_id=44, ended_at=NOW)
    found = Overview(
        (entry(replace(DELIVERY, note="a `b`"), card_message_id=66),),
        (entry(posted, replace(TASK, state=TaskState.COMPLETED)),),
    )

    assert cards.overview(found).splitlines() == [
        "**Open**",
        f"⏳ `{ID}` · `processing` when asked at <t:1800000000:T> · `a {TICK}b{TICK}` · {link} · {since}",
        "**Ended lately**",
        f"✅ `{ID}` completed: https://discord.com/channels/11/22/44 · <t:1800000000:R>",
    ]


def test_overview_of_what_could_not_be_posted_and_now_can_counts_from_its_start():
    """It ended before and is owed again: when it had ended says nothing any more."""
    revived = replace(DELIVERY, state=DeliveryState.DUE, ended_at=NOW + 1000)
    found = Overview((entry(revived, replace(TASK, state=TaskState.COMPLETED)),), ())

    assert cards.overview(found).splitlines() == [
        "**Open**",
        f"✅ `{ID}` completed; posting … · <t:1799999940:R>",
    ]


@pytest.mark.parametrize(("live", "title"), [(True, "**Open**"), (False, "**Ended lately**")])
def test_overview_with_one_part_has_one_title(live: bool, title: str):
    """No title over nothing."""
    found = Overview((entry(),), ()) if live else Overview((), (entry(),))

    assert cards.overview(found).splitlines()[0] == title
    assert cards.overview(found).count("**") == 2


@pytest.mark.parametrize("large", [False, True], ids=["usual", "largest"])
@pytest.mark.parametrize(("live", "ended"), [(50, 10), (200, 10), (0, 60), (10, 50)])
def test_overview_of_many_fits_and_counts_the_missing(live: int, ended: int, large: bool):
    """What is shown and what is counted add up to all that there is: titles are no entries."""
    delivery = LARGE if large else DELIVERY
    task = replace(TASK, id=LONG_ID, api_status="w" * 40) if large else TASK
    past = entry(replace(delivery, state=DeliveryState.POSTED), task)

    text = cards.overview(Overview((entry(delivery, task, LARGEST),) * live, (past,) * ended))

    shown = [line for line in text.splitlines() if "`" in line]
    more = re.search(r"^… and (\d+) more$", text, flags=re.MULTILINE)
    assert length(text) <= 2000
    assert len(shown) + (int(more[1]) if more else 0) == live + ended
    assert not text.endswith("**")


# -- /veo status ---------------------------------------------------------------------------------


def test_status_of_an_open_task_says_when_it_was_and_will_be_polled():
    """The last poll and the next."""
    assert cards.status(entry(replace(DELIVERY, note="mine")), None).splitlines() == [
        f"⏳ `{ID}` · `processing` when asked at <t:1800000000:T>",
        "Tracked <t:1799999940:R> by <@33>. Note: `mine`",
        "Last asked <t:1800000000:R>. Next question <t:1800000030:R>. A video usually takes 2 to 5 minutes.",
    ]


def test_status_of_a_task_never_polled_says_so():
    """No invented time."""
    text = cards.status(entry(task=replace(TASK, polled_at=None, due_at=None, api_status=None)), None)

    assert "The API has not been asked yet." in text
    assert "Next question" not in text


def test_status_of_a_silent_task_counts_the_tries():
    """People see that the bot is at it."""
    text = cards.status(entry(task=replace(TASK, attempt=3)), None)

    assert "No usable answer 3 times in a row." in text


@pytest.mark.parametrize("reason", PauseReason)
@pytest.mark.parametrize("state", DeliveryState)
def test_status_with_api_pause_shows_it_while_it_matters(state: DeliveryState, reason: PauseReason):
    """Only of a task that is still polled."""
    pause = PauseState(reason, NOW - HOUR, NOW + MINUTE)
    text = cards.status(entry(replace(DELIVERY, state=state)), pause)

    assert ("<t:1800000060:R>" in text) == (state is DeliveryState.OPEN)


def test_status_of_a_failed_task_shows_reason_and_error():
    """The reason in a block, the last error of posting in words."""
    delivery = replace(DELIVERY, state=DeliveryState.DUE, last_error="Discord answered 503")
    text = cards.status(entry(delivery, replace(TASK, state=TaskState.FAILED, reason="no ``` cats")), None)

    assert "Reason:\n```\nno ``\u200b` cats\n```" in text
    assert text.endswith("Last trouble while posting: Discord answered 503")


def test_status_of_a_task_that_we_gave_up_shows_our_reason_and_the_words_of_the_api():
    """Ours as a sentence, the API's in a block, the last error of posting in words."""
    cause = Problem(ProblemCode.REFUSED_ID).to_text()
    delivery = replace(
        DELIVERY,
        state=DeliveryState.DUE,
        last_error=Problem(ProblemCode.DISCORD_UNAVAILABLE, {"status": 503}).to_text(),
    )
    task = replace(TASK, state=TaskState.LOST, cause=cause, reason="no access")

    assert cards.status(entry(delivery, task), None).splitlines()[2:] == [
        "Reason: The video API refuses to say anything about this id.",
        "The API says:",
        "```",
        "no access",
        "```",
        "Last trouble while posting: Discord answered 503.",
    ]


@pytest.mark.parametrize(("state", "task_state"), STATES)
@pytest.mark.parametrize("reason", PauseReason)
def test_status_in_its_worst_case_fits(state: DeliveryState, task_state: TaskState, reason: PauseReason):
    """The longest of everything at once."""
    task = replace(TASK, id=LONG_ID, state=task_state, api_status="😀" * 40, reason="`" * 5000, attempt=10**6)
    delivery = replace(LARGE, state=state, note="😀" * 200)

    text = cards.status(entry(delivery, task, LARGEST), PauseState(reason, NOW, NOW))

    assert length(text) <= 2000
    assert f"`{LONG_ID}`" in text


# -- autocomplete ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivery", "task", "name"),
    [
        (DELIVERY, TASK, f"{ID} · processing"),
        (DELIVERY, replace(TASK, api_status=None), f"{ID} · waiting"),
        (replace(DELIVERY, note="a\nb"), TASK, f"{ID} · processing · a b"),
        (replace(DELIVERY, state=DeliveryState.POSTED), TASK, f"{ID} · posted"),
        (replace(DELIVERY, note="😀" * 200), TASK, f"{ID} · processing · {'😀' * 33}…"),
    ],
)
def test_choice_name_shows_state_and_note_within_100_units(delivery: Delivery, task: TrackedTask, name: str):
    """Discord refuses all suggestions when one is longer."""
    assert cards.choice_name(entry(delivery, task)) == name
    assert length(name) <= 100


def test_choice_name_of_the_longest_id_is_cut():
    """Never longer than 100."""
    assert length(cards.choice_name(entry(task=replace(TASK, id=LONG_ID)))) == 100


@pytest.mark.parametrize("state", DeliveryState)
def test_card_without_room_for_details_still_shows_each_state(state: DeliveryState):
    """Nineteen posted tasks leave no room for links; the twentieth says where it stands all the same."""
    posted = [row(DeliveryState.POSTED, TaskState.COMPLETED, delivery=LARGE)] * 19

    lines = cards.card(view(*posted, row(state, TaskState.COMPLETED, "vgen_last", LARGE))).splitlines()

    assert (
        lines[20]
        == {
            DeliveryState.OPEN: "✅ `vgen_last` · `processing`",
            DeliveryState.DUE: "✅ `vgen_last` completed; posting …",
            DeliveryState.POSTED: "✅ `vgen_last` completed",
            DeliveryState.UNDELIVERABLE: "⚠️ `vgen_last` completed, but could not be posted",
            DeliveryState.CANCELLED: f"🚫 `vgen_last` stopped by <@{LARGEST}>",
        }[state]
    )
