"""Every message that the bot can send, in one language: for the gallery and for checks against Discord.

`python -m tests.messages` prints them as JSON, in sections, for `python -m demo.page.gallery`.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import discord

from bot.chat.buttons.base import AnyItem, row_of
from bot.chat.buttons.cards import StopYesButton
from bot.chat.buttons.forget import forget_buttons
from bot.chat.buttons.marks import Target
from bot.chat.buttons.results import DeleteYesButton, direct_buttons, result_buttons
from bot.chat.layouts import card_layout, layout
from bot.chat.messenger import attachment_name
from bot.chat.texts import cards, replies, results
from bot.chat.texts.help import help_panel
from bot.chat.texts.language import Translator, translator
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.generation_time import UsualTime
from bot.core.language import Language
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage, Video
from bot.core.tasks import (
    Card,
    CardView,
    Delivery,
    DeliveryState,
    Doubt,
    DueDelivery,
    ExistingDelivery,
    Form,
    Obstacle,
    TaskState,
    TrackedTask,
    Trouble,
)
from bot.core.tracking import (
    ErasureResult,
    LimitScope,
    Overview,
    QuotaReached,
    RedeliverResult,
    StopRefusal,
    StopResult,
    StoredData,
    UntrackResult,
    WatchResult,
)
from bot.veo.causes import Cause
from tests.factories import CHANNEL, GUILD, NOW, STRANGER, TASK, URL, make_delivery, make_task

Json = dict[str, Any]
_MESSAGE = 1200000000000000000
_VIDEO = Video(Path("veo.mp4"), 9_000_000, 1280, 720, seconds=8.0)
_MODEL = "veo_3_1_fast"
_NOTE = "harbour at dawn"

# One text of the video API for each cause, as they were seen or as they are documented.
REASONS: Mapping[Cause, str] = {
    Cause.SAFETY_FILTER: "The prompt could not be submitted. It violates Vertex AI's usage guidelines.",
    Cause.PROMINENT_PEOPLE: "PUBLIC_ERROR_PROMINENT_PEOPLE_FILTER_FAILED",
    Cause.MINORS: "Veo could not generate videos because of the input image. Support codes: 58061214",
    Cause.SEXUAL: "PUBLIC_ERROR_SEXUAL",
    Cause.VIOLENCE: "Blocked. Support codes: 61493863",
    Cause.THIRD_PARTY: "PUBLIC_ERROR_IP_INPUT_IMAGE",
    Cause.PERSONAL_DATA: "Blocked. Support codes: 92201652",
    Cause.AUDIO: "We encountered an issue with the audio for your prompt. You have not been charged.",
    Cause.IMAGE_NOT_FETCHED: "Failed to fetch the image. Kindly verify any access limits.",
    Cause.IMAGE_REFUSED: "Public error: unsafe image upload",
    Cause.NOT_ENGLISH: "Only English prompts are supported at this time",
    Cause.BUSY: "Resource has been exhausted (e.g. check rate limit).",
    Cause.OUT_OF_CREDIT: "\u8d26\u6237\u4f59\u989d\u4e0d\u8db3\uff0c\u8bf7\u5145\u503c",
    Cause.KEY: "Invalid API key",
    Cause.UNKNOWN: "internal error 7",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as Discord gets it. `private`: only one person sees it."""

    title: str
    payload: Json
    private: bool = False
    attachments: list[Json] = field(default_factory=list)


def panel_sample(title: str, view: discord.ui.LayoutView, *, private: bool = False) -> Sample:
    """A message with components."""
    components: list[Json] = view.to_components()  # type: ignore[no-untyped-call]  # discord.py's own
    return Sample(title, {"flags": 1 << 15, "components": components}, private)


def text_sample(title: str, text: str, *buttons: AnyItem, private: bool = True) -> Sample:
    """A message with content, and buttons below it."""
    view = row_of(*buttons)
    return Sample(title, {"content": text, "components": view.to_components()}, private)


# -- rows ------------------------------------------------------------------------------------------


def row(
    state: DeliveryState = DeliveryState.OPEN, task: TrackedTask | None = None, **changes: Any
) -> ExistingDelivery:
    """One delivery with its task."""
    task = task or make_task()
    return ExistingDelivery(make_delivery(task_id=task.id, state=state, **changes), task)


def waiting(status: str | None = None, **changes: Any) -> ExistingDelivery:
    """A delivery whose task is on the way."""
    known = {"api_status": status, "api_status_since": NOW - 2 * MINUTE, "polled_at": NOW - 20 * SECOND}
    return row(task=make_task(**((known if status else {}) | changes)))


def completed(task_id: str = TASK, **changes: Any) -> TrackedTask:
    """A task with a video whose link lives."""
    known: Json = {
        "state": TaskState.COMPLETED,
        "video_url": URL,
        "link_ends_at": NOW + DAY,
        "finished_at": NOW,
        "model": _MODEL,
        "took": 192 * SECOND,
        "due_at": None,
    }
    return make_task(id=task_id, **(known | changes))


def failed(why: Cause = Cause.SAFETY_FILTER, **changes: Any) -> TrackedTask:
    """A task that the API says has failed."""
    known: Json = {"state": TaskState.FAILED, "reason": REASONS[why], "took": 48 * SECOND, "model": _MODEL}
    return make_task(**(known | changes))


def lost(code: ProblemCode, **data: int | str) -> TrackedTask:
    """A task that the bot gave up."""
    return make_task(state=TaskState.LOST, cause=Problem(code, data).to_text())


def posted(task: TrackedTask, **changes: Any) -> ExistingDelivery:
    """A delivery with its message."""
    return row(DeliveryState.POSTED, task, message_id=_MESSAGE, ended_at=NOW, **changes)


LOST = (
    lost(ProblemCode.UNKNOWN_ID),
    lost(ProblemCode.FORGOTTEN_ID),
    lost(ProblemCode.REFUSED_ID),
    lost(ProblemCode.PAST_DEADLINE, deadline=6 * HOUR, api_status="processing"),
    lost(ProblemCode.NO_ANSWER, silence=30 * HOUR),
)


def twenty() -> tuple[ExistingDelivery, ...]:
    """Twenty ids of one command with all sorts of ends."""
    tasks = [make_task(id=f"vgen_{position:012x}") for position in range(0xA70800, 0xA70814)]
    kinds = (
        lambda task: row(task=replace(task, api_status="queued", api_status_since=NOW)),
        lambda task: row(task=replace(task, api_status="processing", api_status_since=NOW)),
        lambda task: posted(completed(task.id)),
        lambda task: posted(failed(id=task.id)),
    )
    return tuple(kinds[position % 4](task) for position, task in enumerate(tasks))


# -- sections --------------------------------------------------------------------------------------


def card(t: Translator, title: str, *rows: ExistingDelivery, **changes: Any) -> Sample:
    """A card with these rows."""
    view = CardView(Card(1, GUILD, CHANNEL, _MESSAGE, language=t.language), rows, **changes)
    return panel_sample(title, card_layout(t, view, NOW))


def card_samples(t: Translator) -> Iterator[Sample]:
    usual = UsualTime(2 * MINUTE, 4 * MINUTE, 50)
    yield card(t, "just tracked", waiting())
    yield card(t, "in the queue", waiting("queued"))
    yield card(t, "being generated, with what is usual", waiting("processing"), usual=usual)
    yield card(t, "a status that nobody listed", waiting("dreaming"))
    noted = make_delivery(note=_NOTE)
    yield card(t, "a note, and two people who wait as well", replace(waiting(), delivery=noted), watchers=2)
    mixture = (
        waiting("queued"),
        waiting("processing"),
        posted(completed()),
        posted(failed()),
        posted(LOST[0]),
        row(DeliveryState.CANCELLED, cancelled_by=STRANGER),
    )
    yield card(t, "all sorts", *mixture, usual=usual, watchers=1)
    yield card(t, "all ready", posted(completed()), posted(completed("vgen_def456abc123")))
    yield card(t, "ready", posted(completed()))
    yield card(t, "ready, and deleted", posted(completed(), deleted_at=NOW))
    yield card(t, "failed", posted(failed()))
    yield card(t, "stopped", row(DeliveryState.CANCELLED))
    yield card(t, "being posted", row(DeliveryState.DUE, completed()))
    late = row(DeliveryState.DUE, completed(), download_since=NOW - HOUR)
    yield card(t, "a host that does not give it", late)
    for obstacle in (*Obstacle, None):
        problem = Problem(ProblemCode.BLOCKED_BY_AUTOMOD).to_text()
        kept = row(DeliveryState.UNDELIVERABLE, completed(), obstacle=obstacle, last_error=problem)
        yield card(t, f"not posted: {obstacle}", kept)
    for doubt in Doubt:
        yield card(t, f"doubt: {doubt}", waiting("processing", doubt=doubt))
    yield card(t, "silence", waiting(trouble=Trouble.SILENCE, judged_at=NOW, silent_time=11 * MINUTE))
    yield card(t, "refused", waiting(trouble=Trouble.REFUSED, words="forbidden"))
    for reason in PauseReason:
        pause = PauseState(reason, NOW - HOUR, NOW + MINUTE, is_shown=True)
        yield card(t, f"API pause: {reason}", waiting("processing"), pause=pause)
    yield card(t, "the person removed the request")
    yield card(t, "twenty", *twenty())


def list_samples(t: Translator) -> Iterator[Sample]:
    live = (waiting("queued"), replace(waiting("processing"), card_message_id=_MESSAGE))
    ended = (posted(completed(), note=_NOTE), posted(failed()), posted(LOST[0]))
    panel = cards.overview(t, Overview(live, ended), NOW)
    assert panel is not None
    yield panel_sample("/veo list", layout(panel), private=True)
    yield text_sample("/veo list of nothing", t(replies.NOTHING_HERE))
    for name, existing in (
        ("waiting", waiting("processing")),
        ("no answer", waiting("processing", attempt=5)),
        ("ready", posted(completed(), note=_NOTE)),
        ("failed", posted(failed())),
        *((f"lost: {task.cause}", posted(task)) for task in LOST),
        ("not posted yet", row(DeliveryState.DUE, completed(), last_error=_error())),
    ):
        view = layout(cards.status(t, existing, None, NOW))
        yield panel_sample(f"/veo status, {name}", view, private=True)
    names = (waiting("queued"), posted(completed(), note=_NOTE), posted(failed()))
    # People see them in a menu, which shows plain text.
    suggestions = "\n".join(f"`{cards.choice_name(t, existing)}`" for existing in names)
    yield text_sample("suggestions while an id is typed", suggestions)


def _error() -> str:
    return Problem(ProblemCode.DISCORD_UNAVAILABLE, {"status": 503}).to_text()


def result_message(task: TrackedTask, delivery: Delivery | None = None, **changes: Any) -> ResultMessage:
    """A result of that task."""
    watchers = changes.pop("watchers", ())
    due = DueDelivery(delivery or make_delivery(task_id=task.id), task, watchers)
    return ResultMessage(due, **changes)


def result(t: Translator, title: str, message: ResultMessage, now: int = NOW) -> Sample:
    """A result message with its attachment."""
    components = result_buttons(t, message, now).to_components()
    payload = {"content": results.result(t, message, now), "components": components}
    video = message.attachment
    attachments: list[Json] = []
    if video is not None:
        name = attachment_name(message.due.task.id)
        about = {"description": results.alt_text(message)} if results.alt_text(message) else {}
        attachments = [{"filename": name, "size": video.size, "width": video.width, "height": video.height}]
        attachments[0] |= about
    return Sample(title, payload, attachments=attachments)


# Why a completed task's video is not attached.
WITHOUT_VIDEO = (
    *(ProblemCode.LINK_UNUSABLE, ProblemCode.LINK_FORBIDDEN, ProblemCode.LINK_REDIRECTED),
    *(ProblemCode.LINK_REFUSED, ProblemCode.LINK_DEAD, ProblemCode.LINK_ENDED, ProblemCode.NOT_AN_MP4),
    *(ProblemCode.DOWNLOAD_INTERRUPTED, ProblemCode.DOWNLOAD_FAILED, ProblemCode.TOO_LARGE_HERE),
    *(ProblemCode.MAY_NOT_ATTACH, ProblemCode.FILE_REFUSED),
)


def result_samples(t: Translator) -> Iterator[Sample]:
    noted = make_delivery(note=_NOTE)
    yield result(t, "ready", result_message(completed(), video=_VIDEO))
    yield result(t, "with a note", result_message(completed(), noted, video=_VIDEO))
    yield result(t, "with others", result_message(completed(), noted, video=_VIDEO, watchers=(STRANGER, 103)))
    smaller = replace(_VIDEO, size=2_500_000)
    yield result(t, "smaller", result_message(completed(), video=smaller, original_size=40_000_000))
    hevc = replace(_VIDEO, codec="hevc", plays_in_discord=False)
    yield result(t, "HEVC", result_message(completed(), video=hevc))
    yield result(t, "late", result_message(completed(), video=_VIDEO), NOW + 2 * HOUR)
    yield result(t, "link ended", result_message(completed(), video=_VIDEO), NOW + 2 * DAY)
    yield result(t, "above a closed thread", result_message(completed(), noted, video=_VIDEO, parent_id=77))
    yield result(t, "little known", result_message(completed(took=None, model=None), video=_VIDEO))
    yield result(t, "bare", result_message(completed(), noted, video=_VIDEO, form=Form.BARE))
    for code in WITHOUT_VIDEO:
        data = {"status": 403} if code is ProblemCode.LINK_REFUSED else {}
        without = result_message(completed(), noted, problem=Problem(code, data))
        yield result(t, f"without video: {code}", without)
    large = Problem(ProblemCode.VIDEO_TOO_LARGE, {"limit": 512 << 20, "size": 600 << 20})
    yield result(t, "without video: too large", result_message(completed(), problem=large))
    ended = result_message(completed(), problem=Problem(ProblemCode.LINK_ENDED))
    yield result(t, "without video, and its link ended", ended, NOW + 2 * DAY)


def failure_samples(t: Translator) -> Iterator[Sample]:
    for cause in Cause:
        yield result(t, f"failed: {cause}", result_message(failed(cause)))
    noted = make_delivery(note=_NOTE)
    yield result(t, "failed, with a note", result_message(failed(), noted))
    yield result(t, "failed, no reason", result_message(failed(reason=None)))
    yield result(t, "failed, bare", result_message(failed(), noted, form=Form.BARE))
    no_video = failed(reason=None, cause=Problem(ProblemCode.NO_VIDEO).to_text())
    yield result(t, "finished without a video", result_message(no_video))
    for task in LOST:
        yield result(t, f"lost: {task.cause}", result_message(task))
    several = ("vgen_wrong_1", "vgen_wrong_2", "vgen_wrong_3")
    yield result(t, "ids that the API never knew", result_message(LOST[0], noted, shared_ids=several))


# Why a channel does not take a result.
REFUSED = (
    *(ProblemCode.MAY_NOT_ATTACH, ProblemCode.MAY_NOT_POST, ProblemCode.NO_ACCESS),
    *(ProblemCode.CHANNEL_GONE, ProblemCode.WRONG_CHANNEL_KIND, ProblemCode.THREAD_LOCKED),
    *(ProblemCode.THREAD_LIMIT, ProblemCode.BLOCKED_BY_AUTOMOD, ProblemCode.LINK_BLOCKED),
    *(ProblemCode.FORM_REFUSED, ProblemCode.NOT_ACCEPTED, ProblemCode.NOT_TAKEN, ProblemCode.OUR_BUG),
)


def direct_samples(t: Translator) -> Iterator[Sample]:
    def direct(title: str, message: ResultMessage, code: ProblemCode) -> Sample:
        text = results.undeliverable(t, message, Problem(code), NOW)
        view = direct_buttons(t, message.due.delivery)
        return Sample(title, {"content": text, "components": view.to_components()}, private=True)

    noted = make_delivery(note=_NOTE)
    for code in REFUSED:
        yield direct(f"video, {code}", result_message(completed(), noted, video=_VIDEO), code)
    yield direct("link", result_message(completed()), ProblemCode.NO_ACCESS)
    yield direct("failure", result_message(failed()), ProblemCode.NO_ACCESS)
    yield direct("lost", result_message(LOST[0], shared_ids=("vgen_wrong_2",)), ProblemCode.NO_ACCESS)


def reply_samples(t: Translator) -> Iterator[Sample]:
    for name, text in vars(replies).items():
        if name.isupper() and isinstance(text, str) and not name.endswith(("_LABEL", "_QUESTION")):
            yield text_sample(name.lower().replace("_", " "), t(text))
    stop = StopYesButton(Target(1, "abcdefgh", _MESSAGE), label=t(replies.STOP_YES_LABEL))
    for count in (1, 3):
        yield text_sample(f"stop {count}?", replies.stop_question(t, count), stop)
    delete = DeleteYesButton(Target(1, "abcdefgh", _MESSAGE), label=t(replies.DELETE_YES_LABEL))
    for question in (replies.DELETE_QUESTION, replies.DELETE_VIDEO_QUESTION, replies.DELETE_DIRECT_QUESTION):
        yield text_sample("delete?", t(question), delete)
    yield text_sample("an error of the bot", replies.internal_error(t, "1a2b3c"))
    yield text_sample("no id", replies.malformed_ids(t, ("nonsense!!!",)))
    yield text_sample("no ids", replies.malformed_ids(t, tuple(f"no{i}!" for i in range(7))))
    yield text_sample("too many ids", replies.too_many_ids(t, 25))
    missing = list(replies.PERMISSIONS)
    yield text_sample("permissions missing", replies.missing_permissions(t, missing))
    yield text_sample("permissions still missing", replies.still_missing_permissions(t, missing[:1]))
    for scope in LimitScope:
        error = QuotaReached(scope, used=19, limit=20, wanted=3)
        yield text_sample(f"limit: {scope}", replies.quota_reached(t, error))
    kept = row(DeliveryState.UNDELIVERABLE, completed())
    again = (replace(waiting(), card_message_id=_MESSAGE), kept, posted(completed()))
    yield text_sample("tracked before", replies.already_tracked(t, again))
    yield text_sample("not tracked", replies.not_tracked(t, TASK))
    for untracked in UntrackResult:
        yield text_sample(f"untrack: {untracked}", replies.untracked(t, untracked, TASK))
    for redelivered in RedeliverResult:
        text = replies.redelivered(t, redelivered, TASK, posted(completed()))
        yield text_sample(f"redeliver: {redelivered}", text)
    for refusal in StopRefusal:
        yield text_sample(f"stop: {refusal}", replies.stopped(t, StopResult(refusal)))
    for cancelled, late in ((1, 0), (3, 1), (0, 1)):
        text = replies.stopped(t, StopResult(None, cancelled, late))
        yield text_sample(f"{cancelled} stopped, {late} too late", text)
    for watched in WatchResult:
        yield text_sample(f"notify me: {watched}", replies.watching(t, watched))
    stored = StoredData(live=1, ended=28, watched=2, stopped=1)
    yield text_sample("forget me?", replies.before_erasing(t, stored), *forget_buttons(t).children)
    for late in range(3):
        yield text_sample(f"forgotten, {late} too late", replies.erased(t, ErasureResult(3, late)))
    yield panel_sample("/veo help", layout(help_panel(t, "alice")), private=True)


SECTIONS = {
    "Cards": card_samples,
    "Results": result_samples,
    "No video": failure_samples,
    "Direct messages": direct_samples,
    "List, status, suggestions": list_samples,
    "Private answers": reply_samples,
}


def samples(language: Language) -> Iterator[Sample]:
    """Every message in this language."""
    for section in SECTIONS.values():
        yield from section(translator(language))


def as_json() -> list[Json]:
    """The sections with their messages, each in every language."""
    return [
        {"title": title, "messages": [m for language in Language for m in _messages(title, language)]}
        for title in SECTIONS
    ]


def _messages(title: str, language: Language) -> list[Json]:
    return [
        {
            "title": sample.title,
            "language": language,
            "author": "bot",
            "payload": sample.payload | {"attachments": sample.attachments},
            "private": sample.private,
            # A minute and a half later, so that times read as they do.
            "now": NOW // 1000 + 90,
        }
        for sample in SECTIONS[title](translator(language))
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(as_json(), ensure_ascii=False, indent=1))
