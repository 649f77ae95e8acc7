"""Every sentence that a user reads: it fits, names its task, and text from outside stays inside code."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bot.chat.texts import cards, problems, replies, results
from bot.chat.texts.escape import length
from bot.chat.texts.formatting import fitting, plain_link
from bot.chat.texts.language import ENGLISH as T
from bot.chat.texts.language import translator
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import DAY, HOUR, MINUTE
from bot.core.language import Language
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage, Video, ids_that_fit
from bot.core.tasks import DeliveryState, DueDelivery, ExistingDelivery, Form, TaskState, TrackedTask
from bot.core.tracking import (
    MAX_WATCHERS,
    LimitScope,
    QuotaReached,
    RedeliverResult,
    UntrackResult,
    WatchResult,
)
from tests.factories import NOW, make_delivery, make_task

LARGEST = 2**63 - 1  # the largest snowflake
LONG_ID = "v" * 128
LINK = "https://cdn.example/v/1.mp4?sig=a%2Fb"
LONG_LINK = "https://cdn.example/" + "x" * 1000
POLICY = (
    "The prompt couldn't be submitted. It might violate Google's \"Responsible AI\" policies "
    "(https://ai.google/responsibility); support codes: 17301594, 58061214. Try *rephrasing* it!"
)

TASK = make_task(
    state=TaskState.COMPLETED,
    api_status="processing",
    api_status_since=NOW,
    video_url=LINK,
    link_ends_at=NOW + DAY,
    seconds=8.0,
    registered_at=NOW - 3 * MINUTE,
    polled_at=NOW,
    finished_at=NOW,
    due_at=None,
)
FAILED = replace(TASK, state=TaskState.FAILED, video_url=None, reason=POLICY)
DELIVERY = make_delivery(
    guild_id=11,
    channel_id=22,
    requester_id=33,
    state=DeliveryState.DUE,
    created_at=NOW - 3 * MINUTE,
    due_at=NOW,
)
VIDEO = Video(Path("video.mp4"), 1000, 640, 360, codec="avc1")
UNPLAYABLE = replace(VIDEO, codec="hvc1", plays_in_discord=False)
TOO_LARGE = Problem(ProblemCode.TOO_LARGE_HERE)
# The longest sentence that a result may hold.
LONGEST = Problem(ProblemCode.VIDEO_TOO_LARGE, {"size": LARGEST, "limit": LARGEST})


def result(
    task: TrackedTask = TASK,
    *,
    video: Video | None = None,
    problem: Problem | None = None,
    note: str | None = None,
    watchers: tuple[int, ...] = (),
    requester_id: int = 33,
    now: int = NOW,
) -> str:
    delivery = replace(DELIVERY, note=note, requester_id=requester_id)
    return results.result(T, ResultMessage(DueDelivery(delivery, task, watchers), video, problem), now)


def existing(
    state: DeliveryState = DeliveryState.OPEN, task_id: str = TASK.id, message_id: int | None = None
) -> ExistingDelivery:
    delivery = replace(DELIVERY, task_id=task_id, state=state, message_id=message_id)
    return ExistingDelivery(delivery, replace(TASK, id=task_id), message_id)


def largest(state: DeliveryState, task_id: str) -> ExistingDelivery:
    delivery = replace(
        DELIVERY,
        task_id=task_id,
        state=state,
        guild_id=LARGEST,
        channel_id=LARGEST,
        requester_id=LARGEST,
        message_id=LARGEST,
    )
    return ExistingDelivery(delivery, replace(TASK, id=task_id), LARGEST)


def outside_code(text: str) -> str:
    """What Discord reads as markdown and mentions: code blocks and spans taken out."""
    return re.sub(r"```.+?```|`[^`\n]+`", "", text, flags=re.DOTALL)


# -- all of them ---------------------------------------------------------------------------------

PAUSES = [PauseState(reason, NOW - HOUR, NOW + MINUTE) for reason in PauseReason]
TWENTY = tuple(largest(DeliveryState.OPEN, f"{i:0128}") for i in range(20))

WITH_ID = {
    "not_tracked": replies.not_tracked(T, LONG_ID),
    **{f"untracked {o}": replies.untracked(T, o, LONG_ID) for o in UntrackResult},
    **{f"redelivered {o}": replies.redelivered(T, o, LONG_ID, None) for o in RedeliverResult},
    **{
        f"redelivered {o} existing": replies.redelivered(
            T, o, LONG_ID, largest(DeliveryState.POSTED, LONG_ID)
        )
        for o in RedeliverResult
    },
    **{f"already {s}": replies.already_tracked(T, (largest(s, LONG_ID),)) for s in DeliveryState},
}
CONSTANTS = {
    name: value
    for name, value in vars(replies).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
}
ALL = {
    **WITH_ID,
    **CONSTANTS,
    "too many ids": replies.too_many_ids(T, 3000),
    "malformed": replies.malformed_ids(T, tuple("@everyone <@1> `" + "x" * 6000 for _ in range(20))),
    "permissions": replies.missing_permissions(T, [*replies.PERMISSIONS]),
    "twenty existing": replies.already_tracked(T, TWENTY),
    **{
        f"quota {w}": replies.quota_reached(T, QuotaReached(w, used=10**5, limit=10**5, wanted=20))
        for w in LimitScope
    },
    **{f"watching {o}": replies.watching(T, o) for o in WatchResult},
    **{f"pause {p.reason}": cards.api_pause(T, p) for p in PAUSES},
}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_text_in_its_worst_case_fits_and_pings_nobody_else(text: str):
    """At most 2,000 units, and no mention but of the one person who asked before."""
    assert 0 < length(text) <= 2000
    assert "@everyone" not in outside_code(text)
    assert set(re.findall(r"<@[!&]?\d+>", outside_code(text))) <= {f"<@{LARGEST}>"}


@pytest.mark.parametrize("text", WITH_ID.values(), ids=WITH_ID.keys())
def test_text_about_a_task_names_it_whole(text: str):
    """Also the longest id that there can be."""
    assert f"`{LONG_ID}`" in text


@pytest.mark.parametrize("text", CONSTANTS.values(), ids=CONSTANTS.keys())
def test_constant_text_has_balanced_markdown(text: str):
    """No code span or bold text that swallows the rest."""
    assert text.count("`") % 2 == 0
    assert text.count("**") % 2 == 0


def test_every_label_of_a_button_is_short():
    """Discord shows up to 80 characters, and people read three words."""
    labels = [
        t(value)
        for name, value in CONSTANTS.items()
        if name.endswith("_LABEL")
        for t in map(translator, Language)
    ]

    assert len(labels) == 7 * len(Language)
    assert all(len(label) <= 20 for label in labels)


# -- ids that were typed ----------------------------------------------------------------------------


def test_malformed_ids_when_many_shows_five_and_counts_the_rest():
    """Enough to see the mistake."""
    text = replies.malformed_ids(T, tuple(f"bad/{i}" for i in range(20)))

    assert "`bad/0`, `bad/1`, `bad/2`, `bad/3`, `bad/4` and 15 more are not task ids." in text


def test_malformed_ids_when_few_counts_nothing():
    """No "and 0 more"."""
    assert "`a/b` is not a task id." in replies.malformed_ids(T, ("a/b",))


def test_too_many_ids_names_both_numbers():
    """How many they gave, how many are taken."""
    assert "21 ids; I take up to 20" in replies.too_many_ids(T, 21)


# -- what was there before -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            DeliveryState.OPEN,
            "is already tracked here by <@33>. [See the card](https://discord.com/channels/11/22/44)",
        ),
        (
            DeliveryState.DUE,
            "is already tracked here by <@33>. [See the card](https://discord.com/channels/11/22/44)",
        ),
        (DeliveryState.POSTED, "posts it again. [See the message](https://discord.com/channels/11/22/44)"),
        (DeliveryState.UNDELIVERABLE, "could not be posted here before. `/veo redeliver` tries again."),
    ],
)
def test_already_tracked_by_state_says_where_it_is(state: DeliveryState, said: str):
    """A link to the card while it is open, to the result once it is posted."""
    assert said in replies.already_tracked(T, (existing(state, message_id=44),))


def test_already_tracked_without_a_known_message_has_no_link():
    """A card that never got through has no address."""
    assert replies.already_tracked(T, (existing(),)) == f"`{TASK.id}` is already tracked here by <@33>."


def test_already_tracked_with_twenty_long_ids_says_how_many_more():
    """Whole lines only; shown and counted are all of them."""
    *shown, last = replies.already_tracked(T, TWENTY).splitlines()

    more = re.fullmatch(r"… and (\d+) more", last)
    assert more is not None
    assert len(shown) + int(more[1]) == 20
    assert all(line.endswith(f"{LARGEST})") for line in shown)


def test_already_tracked_with_twenty_usual_ids_counts_all():
    """Usual ids, unlinked: all twenty are listed."""
    text = replies.already_tracked(T, tuple(existing(task_id=f"vgen_{i:012}") for i in range(20)))

    assert text.count("already tracked") == 20
    assert "more" not in text


@pytest.mark.parametrize("count", [0, 1, 21, 100, 400, 5000])
def test_fitting_of_many_lines_counts_what_is_missing(count: int):
    """Never too long, and what is shown and what is counted add up."""
    lines = ["😀" * 20] * count

    shown, _, more = fitting(T, lines).partition("… and ")

    assert length(fitting(T, lines)) <= 2000
    assert len(shown.split()) + int(more.removesuffix(" more") or 0) == count


# -- asked for again ---------------------------------------------------------------------------


def test_redelivered_with_a_dead_link_shows_where_it_was_posted():
    """The video is in the channel for good, so a link to it is worth more than the API's."""
    text = replies.redelivered(
        T, RedeliverResult.LINK_DEAD, TASK.id, existing(DeliveryState.POSTED, message_id=44)
    )

    assert "[It is here](https://discord.com/channels/11/22/44)" in text


def test_redelivered_with_a_dead_link_that_was_never_posted_claims_nothing():
    """No "it was posted here" without a message."""
    text = replies.redelivered(T, RedeliverResult.LINK_DEAD, TASK.id, existing(DeliveryState.UNDELIVERABLE))

    assert "I can no longer fetch" in text
    assert "here" not in text


@pytest.mark.parametrize("outcome", [*UntrackResult, *RedeliverResult, *WatchResult, *LimitScope], ids=str)
def test_every_outcome_has_a_sentence_of_its_own(
    outcome: UntrackResult | RedeliverResult | WatchResult | LimitScope,
):
    """No two outcomes of one request read the same."""
    match outcome:
        case UntrackResult():
            said = [replies.untracked(T, o, TASK.id) for o in UntrackResult]
        case RedeliverResult():
            said = [replies.redelivered(T, o, TASK.id, None) for o in RedeliverResult]
        case WatchResult():
            said = [replies.watching(T, o) for o in WatchResult]
        case LimitScope():
            said = [replies.quota_reached(T, QuotaReached(o, used=1, limit=1, wanted=1)) for o in LimitScope]
    assert len(set(said)) == len(type(outcome))


def test_quota_reached_names_all_three_numbers():
    """So that people can do the sum."""
    text = replies.quota_reached(T, QuotaReached(LimitScope.USER, used=18, limit=20, wanted=5))

    assert text.startswith("You have 18 of 20 open tasks, and this would add 5.")


def test_missing_permissions_lists_each_by_its_name():
    """As the server settings show them."""
    text = replies.missing_permissions(T, ["view_channel", "attach_files", "connect"])

    assert "**View Channel**, **Attach Files** and **Connect**" in text


# -- result messages: what is said ------------------------------------------------------------------


def test_result_with_a_video_says_ready():
    """One line, then in small print what is known of it, and until when its original is there."""
    task = replace(TASK, model="veo_3_1_fast", took=192_000)
    video = replace(VIDEO, size=9_000_000, seconds=8.0)

    assert result(task, video=video).splitlines() == [
        "🎬 <@33> your video is ready.",
        f"-# 8 s · 640×360 · 9.0 MB · `veo_3_1_fast` · took 3 min 12 s · `{TASK.id}`",  # noqa: RUF001
        f"-# Original file: until <t:{(NOW + DAY) // 1000}:f>.",
    ]


def test_result_with_a_video_says_only_what_is_known():
    """No length, no model, no time taken."""
    task = replace(TASK, seconds=None, link_ends_at=None)

    assert result(task, video=VIDEO).splitlines() == [
        "🎬 <@33> your video is ready.",
        f"-# 640×360 · 0.0 MB · `{TASK.id}`",  # noqa: RUF001
    ]


@pytest.mark.parametrize(
    ("codec", "plays"),
    [("avc1", True), ("avc1", False), ("hvc1", False), ("av01", False)],
    ids=["H.264", "10-bit", "HEVC", "AV1"],
)
def test_result_with_a_video_that_many_clients_cannot_play_says_so(codec: str, plays: bool):
    """HEVC, AV1 and 10-bit H.264: Discord shows a still, and people would think that it is broken."""
    video = replace(VIDEO, codec=codec, plays_in_discord=plays)

    said = result(video=video).splitlines()

    assert ("-# It may not play inside Discord: download it to watch it." in said) is not plays
    assert said[0] == "🎬 <@33> your video is ready."


def test_result_with_watchers_mentions_each_person_once():
    """The person who asked comes first, also when they pressed the button as well."""
    assert result(video=VIDEO, watchers=(44, 33, 55)).startswith("🎬 <@33> <@44> <@55> your video")


def test_result_with_a_note_has_it_as_its_headline():
    """As code, because it is the person's own words."""
    assert result(video=VIDEO, note="cat on a bike").startswith("🎬 `cat on a bike` <@33>\n")


def test_result_of_a_failed_task_quotes_the_reason_verbatim():
    """Quotes, stars, links and punctuation of a policy text arrive as the API wrote them."""
    said = result(FAILED)

    assert said.startswith("❌ <@33> there is no video.\nGoogle's filter saw a child")
    assert f"The video API said:\n```\n{POLICY}\n```\n" in said
    assert said.endswith(f"-# `{TASK.id}`")


@pytest.mark.parametrize(
    "reason",
    [
        "内容违反了安全政策、请修改提示词后重试。",
        "use `veo_3_1_fast`",
        "line one\n\n  line three",
        '{\'code\': 400, "message": "INVALID_ARGUMENT"}',
        "<b>bold</b> & [a](http://b) ~~c~~ ||d||",
    ],
)
def test_result_of_a_failed_task_keeps_any_punctuation(reason: str):
    """A code block needs no escaping, so there is none."""
    assert f"```\n{reason}\n```" in result(replace(FAILED, reason=reason))


def test_result_of_a_failed_task_without_a_reason_says_so():
    """Never an empty block."""
    said = result(replace(FAILED, reason=None))

    assert "The video API did not say why." in said
    assert "```" not in said


def test_result_of_a_lost_task_says_that_we_stopped():
    """It is our verdict, so it is not put into the API's mouth; its status is code."""
    late = Problem(ProblemCode.PAST_DEADLINE, {"deadline": 6 * HOUR, "api_status": "in *progress*"})
    text = result(replace(FAILED, state=TaskState.LOST, reason=None, cause=late.to_text()))

    assert text == (
        "❓ <@33> I stopped waiting for this video.\n"
        "The video was not finished within 6 hours; the API still says `in *progress*`. "
        f"Tracking it again starts a new wait.\n-# `{TASK.id}`"
    )


def test_result_of_an_id_that_the_api_refuses_shows_its_words_after_ours():
    """Ours in a sentence, the API's in a block."""
    refused = Problem(ProblemCode.REFUSED_ID).to_text()
    text = result(replace(FAILED, state=TaskState.LOST, reason="no ``` access", cause=refused))

    assert text == (
        "❓ <@33> I stopped waiting for this video.\n"
        "The video API refuses to say anything about this id. Perhaps it belongs to another account.\n"
        f"The video API said:\n```\nno ``\u200b` access\n```\n-# `{TASK.id}`"
    )


def test_result_of_a_task_without_a_video_says_what_we_saw():
    """The API never said that it failed, and never why."""
    text = result(replace(FAILED, reason=None, cause=Problem(ProblemCode.NO_VIDEO).to_text()))

    assert text == (
        "❌ <@33> there is no video.\nThe video API finished, but gave no video. This usually means that a "
        f"filter removed it.\n-# `{TASK.id}`"
    )


@pytest.mark.parametrize("cause", [None, "No result within 6 hours."], ids=["as a reason", "as a cause"])
def test_result_that_version_0_1_0_decided_shows_its_sentence_as_it_is(cause: str | None):
    """A row that was written before the update, and is posted after it."""
    old = "No result within 6 hours."
    text = result(replace(FAILED, state=TaskState.LOST, cause=cause, reason=None if cause else old))

    assert text.startswith("❓ <@33> I stopped waiting for this video.\n")
    assert old in text


@pytest.mark.parametrize("code", [ProblemCode.TOO_LARGE_HERE, ProblemCode.NOT_AN_MP4])
def test_result_without_its_video_gives_the_link(code: ProblemCode):
    """Too large or unusable: the sentence, then the link while it lives, without a preview."""
    assert result(problem=Problem(code)).splitlines() == [
        "🎬 <@33> your video is ready, but I cannot attach it.",
        problems.sentence(T, Problem(code)),
        f"Download it before <t:{(NOW + DAY) // 1000}:f>: <{LINK}>",
        f"-# `{TASK.id}`",
    ]


@pytest.mark.parametrize("video", [None, VIDEO])
def test_result_after_the_link_died_does_not_promise_it(video: Video | None):
    """A dead link is named only where there is no video."""
    text = result(video=video, problem=None if video else Problem(ProblemCode.LINK_DEAD), now=NOW + DAY)

    assert "https://" not in text
    assert "until" not in text
    assert ("has ended as well" in text) == (video is None)


@pytest.mark.parametrize(("delay", "late"), [(10 * MINUTE, False), (10 * MINUTE + 1, True)])
@pytest.mark.parametrize("task", [TASK, FAILED], ids=["ready", "failed"])
def test_result_posted_late_says_when_it_was_finished(task: TrackedTask, delay: int, late: bool):
    """More than ten minutes after the API finished it, people would wonder."""
    video = VIDEO if task is TASK else None

    assert (f"finished it <t:{NOW // 1000}:R>" in result(task, video=video, now=NOW + delay)) == late


# -- result messages: links ----------------------------------------------------------------------


def test_result_with_a_long_link_that_has_no_button_writes_it_out():
    """Above 512 characters there is no button, so the text must hold the link: it is all they get."""
    assert f"<{LONG_LINK}>" in result(replace(TASK, video_url=LONG_LINK), problem=TOO_LARGE)


def test_result_with_a_video_and_a_link_too_long_for_a_button_does_not_mention_it():
    """No promise about a button that is not there."""
    assert "Original" not in result(replace(TASK, video_url=LONG_LINK), video=VIDEO)


def test_result_with_no_room_for_the_link_points_at_its_button():
    """With 50 people to mention a link of 500 characters fits its button only."""
    link = "https://cdn.example/" + "x" * 480
    text = result(
        replace(TASK, video_url=link),
        problem=LONGEST,
        note="n" * 200,
        watchers=tuple(range(LARGEST - 50, LARGEST)),
        requester_id=LARGEST,
    )

    assert "with the button below." in text
    assert length(text) <= 2000


def test_result_with_a_link_longer_than_a_message_says_where_it_is():
    """The reader takes links of up to 8,192 characters."""
    text = result(replace(TASK, video_url="https://cdn.example/" + "x" * 8000), problem=TOO_LARGE)

    assert "the API's own reply holds it" in text
    assert "button" not in text


@pytest.mark.parametrize(
    ("link", "plain"),
    [
        (LINK, LINK),
        ("https://h/a?b=c&d=e+f;g=h#i", "https://h/a?b=c&d=e+f;g=h#i"),
        ("http://[::1]:80/a@b!c'(d)*e,f~g$h", "http://[::1]:80/a@b!c'(d)*e,f~g$h"),
        ("https://h/a b", "https://h/a%20b"),
        ("https://h/<@1>|`x`", "https://h/%3C@1%3E%7C%60x%60"),
        ("https://h/视频", "https://h/%E8%A7%86%E9%A2%91"),
    ],
)
def test_plain_link_encodes_only_what_a_message_cannot_bear(link: str, plain: str):
    """A signed link stays byte for byte what it was."""
    assert plain_link(link) == plain
    assert plain_link(plain) == plain


# -- result messages: hostile text ---------------------------------------------------------------

HOSTILE = {
    "everyone": "@everyone @here",
    "mention": "<@1> <@&2> <#3> </veo track:4>",
    "backtick": "a ` b",
    "fence": "```\n@everyone\n```",
    "five backticks": "`````@everyone`````",
    "markdown": "**b** __u__ ~~s~~ ||p|| [x](https://evil.example) # h\n> q\n- l",
    "escape": "\\",
    "control": "a\x00b\x1b[31mc\x7f",
    "override": "\u202egnp.\u2066exe",
    "zalgo": "e" + "\u0301" * 1500,
    "long": "x" * 5000,
    "emoji": "😀" * 5000,
    "backticks": "`" * 5000,
    "lines": "\n" * 100 + "a\n" * 2000,
    "surrogates": "\ud800\udfff",
}


@pytest.mark.parametrize("crowded", [False, True], ids=["one person", "crowded"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_result_with_hostile_reason_and_note_fits_and_stays_in_code(text: str, crowded: bool):
    """Nothing of it is read as a mention, as markdown or as the end of its code."""
    people = tuple(range(LARGEST - MAX_WATCHERS, LARGEST)) if crowded else ()
    task = replace(FAILED, id=LONG_ID, reason=text)

    said = result(task, note=text[:200], watchers=people, requester_id=LARGEST, now=NOW + HOUR)

    mentioned = " ".join(f"<@{i}>" for i in (LARGEST, *people))
    assert length(said) <= 2000
    assert f"`{LONG_ID}`" in said
    assert outside_code(said) == (
        f"❌ {mentioned} there is no video. \nThe video API could not make this video. Trying the same "
        "prompt once more often works.\nThe video API said:\n\n-# \n"
        f"-# The API finished it <t:{NOW // 1000}:R>; sorry for the wait."
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u2066\ud800-\udfff]", said)


@pytest.mark.parametrize(
    "video", [VIDEO, UNPLAYABLE, None], ids=["attached", "attached, may not play", "not attached"]
)
@pytest.mark.parametrize("url", [LINK, "https://h/" + "é" * 80, LONG_LINK, "https://h/" + "x" * 8000])
def test_result_of_a_completed_task_with_everything_fits(url: str, video: Video | None):
    """The longest id, note, problem and link, 50 watchers, and late."""
    said = result(
        replace(TASK, id=LONG_ID, video_url=url),
        video=video,
        problem=None if video else LONGEST,
        note="😀" * 200,
        watchers=tuple(range(LARGEST - MAX_WATCHERS, LARGEST)),
        requester_id=LARGEST,
        now=NOW + HOUR,
    )

    assert length(said) <= 2000
    assert f"`{LONG_ID}`" in said
    assert said.count("<@") == MAX_WATCHERS + 1


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED, TaskState.LOST])
def test_undeliverable_says_what_came_of_it_and_fits(state: TaskState):
    """In a direct message: the id, the channel, the reason or the link, and what to do."""
    task = replace(
        TASK,
        id=LONG_ID,
        state=state,
        reason="@everyone " * 500,
        video_url="https://x.test/v.mp4",
        finished_at=NOW,
    )
    due = DueDelivery(replace(DELIVERY, task_id=LONG_ID), task, ())

    text = results.undeliverable(T, ResultMessage(due), Problem(ProblemCode.CHANNEL_GONE), NOW)

    assert length(text) <= 2000
    assert f"`{LONG_ID}`" in text
    assert "The channel was deleted." in text
    assert "It will not be posted anywhere else." in text
    assert "@everyone" not in outside_code(text)
    assert ("<https://x.test/v.mp4>" in text) is (state is TaskState.COMPLETED)


def test_undeliverable_with_the_video_needs_no_link():
    due = DueDelivery(DELIVERY, replace(TASK, state=TaskState.COMPLETED, finished_at=NOW), ())

    text = results.undeliverable(T, ResultMessage(due, video=VIDEO), Problem(ProblemCode.CHANNEL_GONE), NOW)

    assert "Here is your video." in text
    assert "http" not in text


def test_result_made_smaller_says_so_with_the_original_size():
    task = replace(TASK, state=TaskState.COMPLETED, finished_at=NOW, video_url=LINK)
    due = DueDelivery(DELIVERY, task, ())

    said = results.result(T, ResultMessage(due, video=VIDEO, original_size=52_400_000), NOW)

    assert "Made smaller to fit this server (0.0 MB of 52.4 MB)." in said
    assert "Original file: until" in said


def test_bare_result_holds_no_word_from_outside():
    """AutoMod blocked the message: note, reason and link are the words that are not ours."""
    task = replace(TASK, state=TaskState.FAILED, reason="bad words", finished_at=NOW)
    due = DueDelivery(replace(DELIVERY, note="a bad note"), task, ())

    said = results.result(T, ResultMessage(due, form=Form.BARE), NOW)

    assert "bad" not in said
    assert f"`{TASK.id}`" in said


def test_result_in_the_channel_above_names_its_thread():
    due = DueDelivery(DELIVERY, replace(TASK, state=TaskState.FAILED, reason="no", finished_at=NOW), ())

    said = results.result(T, ResultMessage(due, parent_id=77), NOW)

    assert f"<#{DELIVERY.channel_id}>" in said


def test_bare_result_of_a_task_past_its_deadline_leaves_out_the_status():
    """It may be the word that AutoMod blocked; the numbers stay."""
    late = Problem(ProblemCode.PAST_DEADLINE, {"deadline": 6 * HOUR, "api_status": "bad"}).to_text()
    due = DueDelivery(DELIVERY, replace(TASK, state=TaskState.LOST, cause=late), ())

    said = results.result(T, ResultMessage(due, form=Form.BARE), NOW)

    assert "bad" not in said
    assert "The video was not finished within 6 hours. Tracking it again" in said


@pytest.mark.parametrize("ends_at", [NOW + HOUR, NOW + 5 * DAY], ids=["sooner", "later"])
def test_result_names_the_end_of_the_link_that_is_known(ends_at: int):
    """The earliest estimate, not 24 hours after the end."""
    task = replace(TASK, link_ends_at=ends_at)

    assert f"until <t:{ends_at // 1000}:f>" in result(task, video=VIDEO)
    assert "has ended as well" in result(task, problem=TOO_LARGE, now=ends_at)


# -- problems -----------------------------------------------------------------------------------------

NUMBERS = {"deadline": 6 * HOUR, "silence": 30 * HOUR, "status": 403, "limit": 512 << 20, "size": 600 << 20}


@pytest.mark.parametrize(
    "data", [{}, NUMBERS, {**NUMBERS, "api_status": "queued"}], ids=["no", "numbers", "all"]
)
@pytest.mark.parametrize("code", ProblemCode)
def test_every_problem_has_a_sentence(code: ProblemCode, data: dict[str, str | int]):
    """A whole one, with or without data."""
    sentence = problems.sentence(T, Problem(code, data))

    assert re.fullmatch(r"[A-Z].{10,}[.]", sentence)
    assert len(sentence) <= 200
    assert "None" not in sentence
    assert "{" not in sentence


def test_no_two_problems_read_the_same():
    """People and operators tell them apart."""
    assert len({problems.sentence(T, Problem(code)) for code in ProblemCode}) == len(ProblemCode)


@pytest.mark.parametrize(
    ("code", "data", "said"),
    [
        (ProblemCode.PAST_DEADLINE, {"deadline": 6 * HOUR}, "not finished within 6 hours. Tracking"),
        (ProblemCode.PAST_DEADLINE, {"deadline": 90_000}, "within 1.5 minutes."),
        (ProblemCode.NO_ANSWER, {"silence": 30 * HOUR}, "no usable answer for 30 hours."),
        (ProblemCode.LINK_REFUSED, {"status": 403}, "(it answers 403)."),
        (ProblemCode.VIDEO_TOO_LARGE, {"limit": 10 << 20}, "(the limit is 10 MiB)."),
        (ProblemCode.VIDEO_TOO_LARGE, {"limit": 10 << 20, "size": (10 << 20) + 1}, "(11 MiB; the limit is"),
        (ProblemCode.DISCORD_UNAVAILABLE, {"status": 503}, "Discord answered 503."),
    ],
)
def test_sentence_of_a_problem_holds_its_numbers(code: ProblemCode, data: dict[str, str | int], said: str):
    assert said in problems.sentence(T, Problem(code, data))


@pytest.mark.parametrize(
    "old",
    [
        "The video API no longer knows this id.",
        "Discord answered 503",
        "",
        "{not one of ours}",
        '{"code": "new"}',
    ],
)
def test_stored_sentence_of_version_0_1_0_is_shown_as_it_is(old: str):
    """Also what only looks like a problem: one of a newer version, put back."""
    assert problems.stored_sentence(T, old) == old
    assert problems.stored_sentence(T, old, with_data=False) == old


def test_stored_problem_reads_as_its_sentence():
    problem = Problem(ProblemCode.PAST_DEADLINE, {"deadline": HOUR, "api_status": "queued"})

    assert problems.stored_sentence(T, problem.to_text()) == problems.sentence(T, problem)
    assert "queued" not in problems.stored_sentence(T, problem.to_text(), with_data=False)


# -- what looks like a secret ---------------------------------------------------------------------------


def test_malformed_ids_are_never_shown_with_a_credential_in_them():
    """The answer is private, and still a place from which things are copied."""
    text = replies.malformed_ids(T, ("a/b?key=AIzaSyA1234567890abcdefghij", "ok/2"))

    assert "AIza" not in text
    assert "`ok/2`" in text


# -- direct messages and shared messages ---------------------------------------------------------------

COMES_BACK = {ProblemCode.MAY_NOT_POST, ProblemCode.NO_ACCESS, ProblemCode.THREAD_LOCKED}
CHANNEL_ENDED = {ProblemCode.CHANNEL_GONE, ProblemCode.WRONG_CHANNEL_KIND}


@pytest.mark.parametrize("problem_code", ProblemCode)
def test_direct_message_promises_only_what_will_come(problem_code: ProblemCode):
    """What the bot posts later says so; the rest names /veo redeliver, unless there is no channel."""
    due = DueDelivery(DELIVERY, replace(TASK, state=TaskState.FAILED, reason="no", finished_at=NOW), ())
    data: dict[str, str | int] = {
        "deadline": HOUR,
        "silence": HOUR,
        "status": 400,
        "limit": 5,
        "size": 9,
        "api_status": "x",
    }

    said = results.undeliverable(T, ResultMessage(due), Problem(problem_code, data), NOW)

    assert bool(re.search("I post it there (once|as soon as)", said)) is (problem_code in COMES_BACK)
    assert ("It will not be posted anywhere else" in said) is (problem_code in CHANNEL_ENDED)
    can_be_asked = problem_code not in CHANNEL_ENDED | {ProblemCode.NO_ACCESS}
    assert ("/veo redeliver" in said) is can_be_asked


@pytest.mark.parametrize("watchers", [0, MAX_WATCHERS])
@pytest.mark.parametrize("length_of_id", [1, 36, 128])
def test_shared_message_names_every_id_that_was_chosen_for_it(watchers: int, length_of_id: int):
    """As many as fit beside the mentions: 2,000 characters, and none is left out of its message."""
    ids = [f"{number:0>{length_of_id}}"[-length_of_id:] for number in range(20)]
    count = ids_that_fit(ids, 1 + watchers)
    assert count >= 1
    unknown = Problem(ProblemCode.UNKNOWN_ID).to_text()
    task = replace(TASK, id=ids[0], state=TaskState.LOST, cause=unknown, finished_at=NOW)
    people = tuple(LARGEST - number for number in range(watchers))
    delivery = replace(DELIVERY, task_id=ids[0], note="n" * 200, requester_id=LARGEST - 99)
    message = ResultMessage(DueDelivery(delivery, task, people), shared_ids=tuple(ids[1:count]))

    said = results.result(T, message, NOW + DAY)
    told = results.undeliverable(T, message, Problem(ProblemCode.NO_ACCESS), NOW + DAY)

    assert length(said) <= 2000
    assert length(told) <= 2000
    assert all(f"`{task_id}`" in said for task_id in ids[:count])
    assert said.count("<@") == watchers + 1
