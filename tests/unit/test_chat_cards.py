"""Cards, lists and status: what each state looks like, and that everything fits a message."""

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from bot.chat.texts import cards
from bot.chat.texts.escape import length
from bot.chat.texts.language import ENGLISH as T
from bot.chat.texts.language import translator
from bot.chat.texts.panels import MAX_TEXT, Accent, Panel
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import DAY, HOUR, MINUTE
from bot.core.generation_time import UsualTime
from bot.core.language import Language
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import (
    LIVE,
    Card,
    CardView,
    Delivery,
    DeliveryState,
    Doubt,
    ExistingDelivery,
    Obstacle,
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


def line_of(delivery: Delivery, task: TrackedTask, now: int = NOW) -> str:
    return cards.card(T, view(ExistingDelivery(delivery, task)), now).paragraphs[1]


def text_of(panel: Panel) -> str:
    return "\n".join(panel.paragraphs)


def card(*rows: ExistingDelivery, now: int = NOW) -> Panel:
    return cards.card(T, view(*rows), now)


# -- cards ---------------------------------------------------------------------------------------


def test_card_with_one_open_task_shows_all_that_is_known():
    """How many, who asked and when, the phase and since when, what is usual, what comes next."""
    assert card(row()) == Panel(
        Accent.WAITING,
        (
            "### 1 video on the way\n-# asked by <@33> <t:1799999940:R>",
            f"⏳ `{ID}` being generated since <t:1800000000:R>",
            "-# A video usually takes 2 to 5 minutes. I post the result here and mention <@33>.",
        ),
    )


def test_card_with_several_tasks_counts_them_and_shows_the_note():
    """One header for all rows."""
    noted = replace(DELIVERY, note="cat `on` a bike")
    head = card(row(delivery=noted), row(task_id="vgen_2")).paragraphs[0]

    assert head == (
        f"### 2 videos on the way\n-# `cat {TICK}on{TICK} a bike` · asked by <@33> <t:1799999940:R>"
    )


ENDED = {
    "ready": (DeliveryState.POSTED, TaskState.COMPLETED),
    "failed": (DeliveryState.POSTED, TaskState.FAILED),
    "lost": (DeliveryState.POSTED, TaskState.LOST),
    "stopped": (DeliveryState.CANCELLED, TaskState.WAITING),
    "open": (DeliveryState.OPEN, TaskState.WAITING),
    "kept": (DeliveryState.UNDELIVERABLE, TaskState.COMPLETED),
}


@pytest.mark.parametrize(
    ("kinds", "title", "accent"),
    [
        (["open"], "1 video on the way", Accent.WAITING),
        (["ready"], "1 video: ready", Accent.READY),
        (["failed"], "1 video: failed", Accent.FAILED),
        (["lost"], "1 video: failed", Accent.FAILED),
        (["stopped"], "1 video: stopped", Accent.TROUBLE),
        (["kept"], "1 video: ready", Accent.FAILED),
        (["ready", "ready", "failed"], "3 videos: 2 ready, 1 failed", Accent.FAILED),
        (["ready", "stopped"], "2 videos: 1 ready, 1 stopped", Accent.READY),
        (["open", "failed", "ready"], "3 videos: 1 on the way, 1 ready, 1 failed", Accent.WAITING),
    ],
)
def test_card_title_counts_and_its_colour_says_what_matters_most(
    kinds: list[str], title: str, accent: Accent
):
    """Amber while something waits, red when something failed, green when all is ready, else grey."""
    shown = card(*(row(*ENDED[kind]) for kind in kinds))

    assert shown.paragraphs[0].startswith(f"### {title}\n")
    assert shown.accent is accent


@pytest.mark.parametrize(
    ("usual", "said"),
    [
        (None, "2 to 5 minutes."),
        (UsualTime(2 * MINUTE, 4 * MINUTE, 50), "2 to 4 min (from the last 50)."),
        (UsualTime(2 * MINUTE + 59_000, 3 * MINUTE + 1, 11), "2 to 4 min (from the last 11)."),
        (UsualTime(40_000, 50_000, 12), "up to 1 min (from the last 12)."),
    ],
)
def test_card_says_how_long_videos_took_lately(usual: UsualTime | None, said: str):
    """Whole minutes, down and up."""
    shown = cards.card(T, replace(view(row()), usual=usual), NOW)

    assert f"-# A video usually takes {said} " in shown.paragraphs[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"api_status": None, "api_status_since": None, "polled_at": None}, "⏳ `{id}` not asked yet"),
        ({"api_status": None, "api_status_since": None}, "⏳ `{id}` no answer yet"),
        ({"api_status": "queued"}, "🕓 `{id}` in the queue since <t:1800000000:R>"),
        ({"api_status": "In Progress"}, "⏳ `{id}` being generated since <t:1800000000:R>"),
        (
            {"api_status": "`@everyone`"},
            f"⏳ `{{id}}` the API says `{TICK}@everyone{TICK}` since <t:1800000000:R>",
        ),
    ],
)
def test_card_line_of_an_open_task_shows_its_phase(changes: dict[str, str | None], said: str):
    """A status that nobody listed is shown as it is."""
    line = line_of(DELIVERY, replace(TASK, **changes))  # type: ignore[arg-type]

    assert line == said.replace("{id}", ID)


SEE = "(https://discord.com/channels/11/22/44)"
UNKNOWN = Problem(ProblemCode.UNKNOWN_ID).to_text()
NO_VIDEO = Problem(ProblemCode.NO_VIDEO).to_text()


@pytest.mark.parametrize(
    ("state", "changes", "line"),
    [
        (DeliveryState.DUE, {"state": TaskState.COMPLETED}, "✅ `{id}` ready; I post it now"),
        (DeliveryState.DUE, {"state": TaskState.FAILED}, "❌ `{id}` failed; I post it now"),
        (DeliveryState.DUE, {"state": TaskState.LOST}, "❓ `{id}` given up; I post it now"),
        (DeliveryState.POSTED, {"state": TaskState.COMPLETED}, f"✅ `{{id}}` ready: [see the video]{SEE}"),
        (
            DeliveryState.POSTED,
            {"state": TaskState.COMPLETED, "took": 192_000},
            f"✅ `{{id}}` ready after 3 min 12 s: [see the video]{SEE}",
        ),
        (
            DeliveryState.POSTED,
            {"state": TaskState.FAILED, "reason": "unsafe content"},
            f"❌ `{{id}}` refused by the filter: [see why]{SEE}",
        ),
        (
            DeliveryState.POSTED,
            {"state": TaskState.FAILED, "cause": NO_VIDEO},
            f"❌ `{{id}}` no video came out: [see why]{SEE}",
        ),
        (
            DeliveryState.POSTED,
            {"state": TaskState.LOST, "cause": UNKNOWN},
            f"❓ `{{id}}` not found: [see why]{SEE}",
        ),
        (DeliveryState.CANCELLED, {}, "🚫 `{id}` stopped by <@55>"),
    ],
)
def test_card_line_by_state_says_what_became_of_it(state: DeliveryState, changes: dict[str, Any], line: str):
    """A sign, the id, the outcome, and where to find it."""
    delivery = replace(DELIVERY, state=state, message_id=44, cancelled_by=55)

    assert line_of(delivery, replace(TASK, **changes)) == line.replace("{id}", ID)


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [
        (Obstacle.PERMISSION, "ready, but I may not write here. I post it as soon as I may."),
        (Obstacle.MEMBERSHIP, "ready, but I have no access here. I post it as soon as I have."),
        (Obstacle.THREAD, "ready, but the thread was locked. I post it once it is open again."),
        (Obstacle.GONE, "ready, but the channel was deleted."),
        (Obstacle.FORM, "ready, but not posted. Discord did not take it. `/veo redeliver` tries again."),
        (None, "ready, but not posted. Discord did not take it. `/veo redeliver` tries again."),
    ],
)
def test_card_line_of_what_could_not_be_posted_says_what_comes_next(obstacle: Obstacle | None, said: str):
    """Nothing is promised that may not come."""
    delivery = replace(DELIVERY, state=DeliveryState.UNDELIVERABLE, obstacle=obstacle)

    assert line_of(delivery, replace(TASK, state=TaskState.COMPLETED)) == f"⚠️ `{ID}` {said}"


@pytest.mark.parametrize("error", ["The link is blocked.", Problem(ProblemCode.LINK_BLOCKED).to_text()])
def test_card_says_in_words_why_discord_did_not_take_it(error: str):
    """A problem by its code, or a sentence of version 0.1.0."""
    delivery = replace(DELIVERY, state=DeliveryState.UNDELIVERABLE, last_error=error)

    line = line_of(delivery, replace(TASK, state=TaskState.COMPLETED))

    assert re.fullmatch(
        rf"⚠️ `{ID}` ready, but not posted\. \w.*link.*\. `/veo redeliver` tries again\.", line
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"state": DeliveryState.POSTED}, f"✅ `{ID}` ready"),
        ({"state": DeliveryState.CANCELLED}, f"🚫 `{ID}` stopped"),
        (
            {"state": DeliveryState.POSTED, "message_id": 44, "deleted_at": NOW},
            f"✅ `{ID}` ready; its message was deleted",
        ),
        (
            {"state": DeliveryState.DUE, "attempt": 3},
            f"✅ `{ID}` ready; Discord does not take it so far, I keep trying",
        ),
    ],
)
def test_card_line_without_details_leaves_them_out(changes: dict[str, Any], line: str):
    """A deleted result has no link, and not every stop has a name."""
    assert line_of(replace(DELIVERY, **changes), replace(TASK, state=TaskState.COMPLETED)) == line


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("task_id", [ID, LONG_ID], ids=["usual", "longest"])
@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(("state", "task_state"), STATES)
def test_card_in_every_state_fits_with_a_line_for_each_task(
    state: DeliveryState, task_state: TaskState, count: int, task_id: str, language: Language
):
    """Also with the largest snowflakes, the longest note, status and error."""
    rows = [row(state, task_state, task_id, LARGE) for _ in range(count)]
    rows = [ExistingDelivery(each.delivery, replace(each.task, api_status="😀" * 40)) for each in rows]

    shown = cards.card(translator(language), view(*rows), NOW)

    assert shown.size <= MAX_TEXT
    lines = shown.paragraphs[1].splitlines()
    assert len(lines) == count
    assert all(re.search(r"`vgen_\S+(f456|def)`", line) for line in lines)


def test_card_with_one_long_id_shows_it_whole():
    """There is space for it."""
    assert f"`{LONG_ID}`" in text_of(card(row(task_id=LONG_ID)))


def test_card_with_twenty_ids_shortens_their_middle():
    """Both ends stay, and a line fits a phone."""
    lines = card(*(row(task_id=f"vgen_{i:03}abcdef{i:03}") for i in range(20))).paragraphs[1].splitlines()

    assert all(f"`vgen_{i:03}a…f{i:03}`" in lines[i] for i in range(20))


def test_card_never_shows_two_ids_alike():
    """Ids that differ in their middle alone stay as long as it takes."""
    lines = card(*(row(task_id=f"vgen_abcd{i:03}efghijklmnop") for i in range(20))).paragraphs[1].splitlines()

    assert len({line.split("`")[1] for line in lines}) == 20


def test_card_with_twenty_posted_tasks_shows_all_links():
    """They fit."""
    rows = [row(DeliveryState.POSTED, TaskState.COMPLETED, f"vgen_abc123def{i:03}", LARGE) for i in range(20)]

    assert text_of(card(*rows)).count("[ready](https://discord.com/channels/") == 20


def test_line_of_many_fits_a_phone():
    """The words are the link, and an open one shows its phase without a time; trouble is shown in full."""
    posted = row(DeliveryState.POSTED, TaskState.COMPLETED, delivery=replace(DELIVERY, message_id=44))
    timed = ExistingDelivery(posted.delivery, replace(posted.task, took=192_000))
    silent = ExistingDelivery(DELIVERY, replace(TASK, **SILENT))

    lines = card(row(), timed, silent, *[row(DeliveryState.POSTED)] * 4).paragraphs[1].splitlines()

    assert lines[:3] == [
        "⏳ `vgen_abc1…f456` being generated",
        f"✅ `vgen_abc1…f456` [ready after 3 min 12 s]{SEE}",
        f"⏳ `vgen_abc1…f456` {NO_ANSWER}",
    ]


def test_card_gives_up_links_before_tasks():
    """Each task keeps its line, its id and its outcome."""
    link = LINK + 300 * "x"
    late = [
        ExistingDelivery(
            replace(DOWNLOADING, task_id=f"vgen_{i}"), replace(READY, id=f"vgen_{i}", video_url=link)
        )
        for i in range(20)
    ]

    shown = card(*late, now=NOW + HOUR)

    assert shown.size <= MAX_TEXT
    assert shown.paragraphs[1].splitlines() == [f"✅ `vgen_{i}` ready" for i in range(20)]


@pytest.mark.parametrize("state", DeliveryState)
def test_is_settled_by_state_is_true_once_nothing_is_to_come(state: DeliveryState):
    """One live row keeps the card alive."""
    assert cards.is_settled(view(row(state))) == (state not in LIVE)
    assert cards.is_settled(view(row(state), row(DeliveryState.POSTED))) == (state not in LIVE)


@pytest.mark.parametrize("state", DeliveryState)
def test_card_with_nothing_to_come_promises_nothing(state: DeliveryState):
    """The foot is about what is still to come."""
    shown = text_of(card(row(state, TaskState.COMPLETED)))

    assert ("I post the result here" in shown) == (state in LIVE)
    assert ("usually takes" in shown) == (state is DeliveryState.OPEN)


def test_card_of_a_removed_request_names_nobody():
    """The person had everything about them removed."""
    assert card() == Panel(
        Accent.TROUBLE,
        ("The person who asked removed this request. Nothing more will be posted for it.",),
    )


DOUBTS = {
    Doubt.UNKNOWN_ID: "the video API does not know it (yet); I ask again",
    Doubt.NOT_FOUND: "the video API finds nothing under this id; I keep asking",
    Doubt.NO_VIDEO: "finished, but without a video so far; I ask again",
    Doubt.COMPLETED: "looks ready; I ask once more to be sure",
    Doubt.FAILED: "looks failed; I ask once more to be sure",
    Doubt.PAST_DEADLINE: "still not finished after a long time; I ask once more",
}


@pytest.mark.parametrize(("doubt", "said"), DOUBTS.items(), ids=DOUBTS.keys())
@pytest.mark.parametrize("status", [None, "processing"])
def test_card_shows_what_is_doubtful_at_once(doubt: Doubt, said: str, status: str | None):
    """Instead of the last status, which is not what the API says now."""
    task = replace(TASK, api_status=status, doubt=doubt, doubt_count=1)

    assert line_of(DELIVERY, task) == f"⏳ `{ID}` {said}"


def test_card_does_not_mention_a_single_refusal():
    """It is shown when it has lasted."""
    task = replace(TASK, doubt=Doubt.REFUSED, doubt_count=2, words="no")

    assert "being generated" in line_of(DELIVERY, task)


SILENT: dict[str, Any] = {"trouble": Trouble.SILENCE, "judged_at": NOW, "silent_time": 11 * MINUTE}
NO_ANSWER = "no answer from the video API since <t:1799999340:R>; I keep asking"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (SILENT, NO_ANSWER),
        ({"trouble": Trouble.REFUSED}, "the video API refuses to say anything about it"),
        (
            {"trouble": Trouble.REFUSED, "doubt": Doubt.REFUSED, "words": "no `access` @everyone"},
            f"the video API refuses to say anything about it `no {TICK}access{TICK} @everyone`",
        ),
        ({**SILENT, "doubt": Doubt.UNKNOWN_ID}, NO_ANSWER),
    ],
)
def test_card_shows_trouble_that_has_lasted(changes: dict[str, Any], said: str):
    """The API's words as code."""
    assert line_of(DELIVERY, replace(TASK, **changes)) == f"⏳ `{ID}` {said}"


@pytest.mark.parametrize("state", [DeliveryState.DUE, DeliveryState.POSTED, DeliveryState.CANCELLED])
def test_card_of_what_has_ended_shows_no_doubt(state: DeliveryState):
    """What was doubtful before is decided."""
    task = replace(TASK, state=TaskState.COMPLETED, doubt=Doubt.NO_VIDEO, trouble=Trouble.SILENCE)

    assert "API" not in line_of(replace(DELIVERY, state=state), task)


@pytest.mark.parametrize("reason", PauseReason)
@pytest.mark.parametrize("is_shown", [True, False])
def test_card_shows_an_api_pause_that_has_lasted(reason: PauseReason, is_shown: bool):
    """In grey, and only while something on it is still polled."""
    pause = PauseState(reason, NOW - HOUR, NOW + MINUTE, is_shown)
    open_one = cards.card(T, replace(view(row()), pause=pause), NOW)
    ended = replace(view(row(DeliveryState.POSTED, TaskState.COMPLETED)), pause=pause)

    assert ("<t:1800000060:R>" in text_of(open_one)) is is_shown
    assert (open_one.accent is Accent.TROUBLE) is is_shown
    assert "<t:1800000060:R>" not in text_of(cards.card(T, ended, NOW))


@pytest.mark.parametrize("doubt", Doubt)
@pytest.mark.parametrize("trouble", [None, *Trouble])
def test_card_with_twenty_doubtful_ids_fits(doubt: Doubt, trouble: Trouble | None):
    """The longest ids, words and note at once, during a pause."""
    task = replace(TASK, api_status="😀" * 40, doubt=doubt, trouble=trouble, words="😀" * 500)
    rows = [ExistingDelivery(LARGE, replace(task, id=f"{LONG_ID[:-2]}{i:02}")) for i in range(20)]
    pause = PauseState(PauseReason.KEY_REFUSED, NOW, NOW, is_shown=True)

    shown = cards.card(T, replace(view(*rows), pause=pause), NOW)

    assert shown.size <= MAX_TEXT
    assert all(re.search(rf"`vgen_\S*{i:02}`", shown.paragraphs[1]) for i in range(20))


DOWNLOADING = replace(DELIVERY, state=DeliveryState.DUE, download_since=NOW)
READY = replace(TASK, state=TaskState.COMPLETED, finished_at=NOW, video_url=LINK, link_ends_at=NOW + DAY)
LATE_LINK = f"ready, but I cannot download it so far; I keep trying. Its link: <{LINK}>"


@pytest.mark.parametrize(
    ("changes", "age", "state"),
    [
        ({}, 10 * MINUTE - 1, "ready; I post it now"),
        ({}, 10 * MINUTE, LATE_LINK),
        ({}, DAY - 1, LATE_LINK),
        ({}, DAY, "ready; I post it now"),
        ({"download_since": None}, HOUR, "ready; I post it now"),
        ({"first_sent_at": NOW + HOUR}, HOUR, "ready; I post it now"),
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
    assert line_of(replace(DOWNLOADING, **changes), READY, NOW + age) == f"✅ `{ID}` {state}"


@pytest.mark.parametrize("state", sorted(set(DeliveryState) - set(LIVE)))
def test_card_line_of_what_has_ended_shows_no_link(state: DeliveryState):
    """The result is there, or the person knows why not."""
    ended = replace(DOWNLOADING, state=state, ended_at=NOW + HOUR)

    assert LINK not in line_of(ended, READY, NOW + HOUR)


@pytest.mark.parametrize("link", [LINK, LINK + 400 * "x", LINK + 8000 * "x"], ids=["short", "long", "longer"])
def test_card_with_twenty_late_downloads_fits(link: str):
    """Every id is on it, with or without its link."""
    ids = [f"vgen_{number:02d}" for number in range(20)]
    late = [
        ExistingDelivery(replace(DOWNLOADING, task_id=i), replace(READY, id=i, video_url=link)) for i in ids
    ]

    shown = card(*late, now=NOW + HOUR)

    assert shown.size <= MAX_TEXT
    assert all(f"`{i}`" in shown.paragraphs[1] for i in ids)


# -- /veo list -----------------------------------------------------------------------------------


def listed(found: Overview) -> Panel:
    shown = cards.overview(T, found, NOW)
    assert shown is not None
    return shown


def test_overview_of_an_empty_channel_is_nothing():
    """A sentence is said instead."""
    assert cards.overview(T, Overview((), ()), NOW) is None


def test_overview_with_live_and_ended_has_both_parts():
    """Links to the card of what is open and to the result of what has ended."""
    link = "[card](https://discord.com/channels/11/22/66)"
    posted = replace(DELIVERY, state=DeliveryState.POSTED, message_id=44, ended_at=NOW)
    found = Overview(
        (entry(replace(DELIVERY, note="a `b`"), card_message_id=66),),
        (entry(posted, replace(TASK, state=TaskState.COMPLETED)),),
    )

    assert listed(found) == Panel(
        Accent.WAITING,
        (
            (
                "### On the way\n⏳ `vgen_abc1…f456` being generated since <t:1800000000:R> "
                f"· `a {TICK}b{TICK}` · {link}"
            ),
            f"### Recent\n✅ `vgen_abc1…f456` ready: [see the video]{SEE} · <t:1800000000:R>",
        ),
    )


def test_overview_of_what_could_not_be_posted_and_now_can_is_on_the_way():
    """It ended before and is owed again."""
    revived = replace(DELIVERY, state=DeliveryState.DUE, ended_at=NOW + 1000)
    found = Overview((entry(revived, replace(TASK, state=TaskState.COMPLETED)),), ())

    assert listed(found).paragraphs == ("### On the way\n✅ `vgen_abc1…f456` ready; I post it now",)


@pytest.mark.parametrize(("live", "title"), [(True, "### On the way"), (False, "### Recent")])
def test_overview_with_one_part_has_one_title(live: bool, title: str):
    """No title over nothing."""
    found = Overview((entry(),), ()) if live else Overview((), (entry(),))

    (paragraph,) = listed(found).paragraphs
    assert paragraph.splitlines()[0] == title
    assert paragraph.count("###") == 1


@pytest.mark.parametrize("large", [False, True], ids=["usual", "largest"])
@pytest.mark.parametrize(("live", "ended"), [(50, 10), (200, 10), (0, 60), (10, 50)])
def test_overview_of_many_fits_and_counts_the_missing(live: int, ended: int, large: bool):
    """What is shown and what is counted add up to all that there is: titles are no entries."""
    delivery = LARGE if large else DELIVERY
    task = replace(TASK, id=LONG_ID, api_status="w" * 40) if large else TASK
    past = entry(replace(delivery, state=DeliveryState.POSTED), task)

    panel = listed(Overview((entry(delivery, task, LARGEST),) * live, (past,) * ended))

    text = text_of(panel)
    shown = [line for line in text.splitlines() if "`" in line]
    counted = sum(map(int, re.findall(r"^… and (\d+) more$", text, flags=re.MULTILINE)))
    assert panel.size <= MAX_TEXT
    assert len(shown) + counted == live + ended


# -- /veo status ---------------------------------------------------------------------------------


def status(delivery: Delivery = DELIVERY, task: TrackedTask = TASK, pause: PauseState | None = None) -> Panel:
    return cards.status(T, entry(delivery, task), pause, NOW)


def test_status_of_an_open_task_says_when_it_was_and_will_be_polled():
    """The last poll and the next."""
    task = replace(TASK, model="veo_3_1_fast")

    assert status(replace(DELIVERY, note="mine"), task) == Panel(
        Accent.WAITING,
        (
            (
                f"⏳ `{ID}` being generated since <t:1800000000:R>\n"
                "-# `mine` · asked by <@33> <t:1799999940:R> · `veo_3_1_fast`"
            ),
            "Last asked <t:1800000000:R>. I ask again <t:1800000030:R>.",
        ),
    )


def test_status_of_a_task_never_polled_says_so():
    """No invented time."""
    text = text_of(status(task=replace(TASK, polled_at=None, due_at=None, api_status=None)))

    assert "not asked yet" in text
    assert "ask again" not in text


@pytest.mark.parametrize(
    ("attempt", "said"), [(1, "has not answered the last time."), (3, "has not answered the last 3 times.")]
)
def test_status_of_a_silent_task_counts_the_tries(attempt: int, said: str):
    """People see that the bot is at it."""
    text = text_of(status(task=replace(TASK, attempt=attempt)))

    assert f"The video API {said} I try again <t:1800000030:R>." in text


@pytest.mark.parametrize("reason", PauseReason)
@pytest.mark.parametrize("state", DeliveryState)
def test_status_with_api_pause_shows_it_while_it_matters(state: DeliveryState, reason: PauseReason):
    """Only of a task that is still polled, and then no other time of a poll."""
    text = text_of(status(replace(DELIVERY, state=state), pause=PauseState(reason, NOW - HOUR, NOW + MINUTE)))

    assert ("<t:1800000060:R>" in text) == (state is DeliveryState.OPEN)
    assert "I ask again" not in text


def test_status_of_a_failed_task_shows_the_cause_the_advice_and_the_api_s_words():
    """The API's own words last, in a block; then the last error of posting in words."""
    delivery = replace(DELIVERY, state=DeliveryState.DUE, last_error="Discord answered 503")
    task = replace(TASK, state=TaskState.FAILED, reason="no ``` cats: safety", took=48_000)

    assert status(delivery, task).paragraphs[1:] == (
        (
            "Google's safety filter refused the prompt or the video. Change the prompt and create a new task"
            ": the same prompt is refused again.\nIt failed after 48 s.\nThe video API said:\n"
            "```\nno ``\u200b` cats: safety\n```"
        ),
        "Could not post it yet: Discord answered 503",
    )


def test_status_of_a_task_that_we_gave_up_shows_our_reason_and_the_words_of_the_api():
    """Ours as a sentence, the API's in a block."""
    task = replace(
        TASK, state=TaskState.LOST, cause=Problem(ProblemCode.REFUSED_ID).to_text(), reason="no access"
    )

    assert status(replace(DELIVERY, state=DeliveryState.POSTED), task).paragraphs[1:] == (
        (
            "The video API refuses to say anything about this id. Perhaps it belongs to another account.\n"
            "The video API said:\n```\nno access\n```"
        ),
    )


def test_status_of_what_could_not_be_posted_says_why_once():
    """The first line has it."""
    error = Problem(ProblemCode.BLOCKED_BY_AUTOMOD).to_text()
    delivery = replace(DELIVERY, state=DeliveryState.UNDELIVERABLE, last_error=error)

    assert text_of(status(delivery, replace(TASK, state=TaskState.COMPLETED))).count("AutoMod") == 1


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("state", "task_state"), STATES)
@pytest.mark.parametrize("reason", PauseReason)
def test_status_in_its_worst_case_fits(
    state: DeliveryState, task_state: TaskState, reason: PauseReason, language: Language
):
    """The longest of everything at once."""
    task = replace(TASK, id=LONG_ID, state=task_state, api_status="😀" * 40, reason="`" * 5000, attempt=10**6)
    existing = entry(replace(LARGE, state=state, note="😀" * 200), task, LARGEST)

    panel = cards.status(translator(language), existing, PauseState(reason, NOW, NOW), NOW)

    assert panel.size <= MAX_TEXT
    assert f"`{LONG_ID}`" in text_of(panel)


# -- autocomplete ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivery", "task", "name"),
    [
        (DELIVERY, TASK, f"{ID} · being generated"),
        (DELIVERY, replace(TASK, api_status="queued"), f"{ID} · in the queue"),
        (DELIVERY, replace(TASK, api_status=None), f"{ID} · no answer yet"),
        (replace(DELIVERY, note="a\nb"), TASK, f"{ID} · being generated · a b"),
        (
            replace(DELIVERY, state=DeliveryState.POSTED),
            replace(TASK, state=TaskState.COMPLETED),
            f"{ID} · ready",
        ),
        (
            replace(DELIVERY, state=DeliveryState.POSTED),
            replace(TASK, state=TaskState.FAILED, reason="PUBLIC_ERROR_MINOR"),
            f"{ID} · refused: a child",
        ),
        (
            replace(DELIVERY, state=DeliveryState.UNDELIVERABLE),
            replace(TASK, state=TaskState.COMPLETED),
            f"{ID} · ready, not posted",
        ),
        (replace(DELIVERY, state=DeliveryState.CANCELLED), TASK, f"{ID} · stopped"),
        (replace(DELIVERY, note="😀" * 200), TASK, f"{ID} · being generated · {'😀' * 30}…"),
    ],
)
def test_choice_name_shows_state_and_note_within_100_units(delivery: Delivery, task: TrackedTask, name: str):
    """Discord refuses all suggestions when one is longer."""
    assert cards.choice_name(T, entry(delivery, task)) == name
    assert length(name) <= 100


def test_choice_name_of_the_longest_id_is_cut():
    """Never longer than 100."""
    assert length(cards.choice_name(T, entry(task=replace(TASK, id=LONG_ID)))) == 100
