"""The contract's table "What ends a task", told from nothing but the answers that were given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.core.answers import USABLE, AnswerKind

if TYPE_CHECKING:
    from tests.explore.api_model import Poll

_UNKNOWN = frozenset({AnswerKind.UNKNOWN_ID, AnswerKind.NOT_FOUND})
_REFUSED = frozenset({AnswerKind.ERROR, AnswerKind.KEY_REFUSED})
_SILENT = frozenset({AnswerKind.SILENCE, AnswerKind.THROTTLED})
_DEADLINE = 1_200_000


class Evidence:
    """What the API said about one task, oldest first. Errors and silence say nothing about most verdicts."""

    def __init__(self, task_id: str, polls: Sequence["Poll"], interval: int) -> None:
        self.is_there = any(poll.task_id == task_id for poll in polls)
        self._answers = [poll for poll in polls if poll.task_id == task_id and not _is_noise(poll, polls)]
        self._interval = interval

    def __str__(self) -> str:
        return ", ".join(answer.kind for answer in self._answers[-4:])

    def supports(self, state: str, cause: str) -> bool:
        said = {answer.kind for answer in self._answers}
        if state == "completed":
            return AnswerKind.COMPLETED in said or self._last(AnswerKind.PROBABLY_COMPLETED) >= 2
        if state == "failed" and "no_video" in cause:
            return self._last(AnswerKind.NO_VIDEO) >= 3 and self._lasted(6, AnswerKind.NO_VIDEO)
        if state == "failed":
            return AnswerKind.FAILED in said or self._last(AnswerKind.PROBABLY_FAILED) >= 2
        if "unknown_id" in cause:
            return not said & USABLE and self._last(*_UNKNOWN) >= 3 and self._lasted(6, *_UNKNOWN)
        if "forgotten_id" in cause:
            return self._lasted(60, *_UNKNOWN)
        if "refused_id" in cause:
            return self._lasted(60, *_REFUSED)
        return "past_deadline" in cause and self._after_deadline() >= 2

    def _last(self, *kinds: AnswerKind) -> int:
        """How many of the last answers that count are of these kinds."""
        count = 0
        for answer in reversed(self._answers):
            if answer.kind in kinds:
                count += 1
            elif answer.kind not in _SILENT | _REFUSED:
                break
        return count

    def _lasted(self, intervals: int, *kinds: AnswerKind) -> bool:
        """Whether they came over so much polled time: at most twice the pauses that were planned."""
        total, begun = 0, False
        for before, answer in zip([None, *self._answers], self._answers, strict=False):
            if answer.kind in kinds:
                total += self._pause(before, answer) if begun else 0
                begun = True
            elif answer.kind not in _SILENT | _REFUSED:
                total, begun = 0, False
        return total >= intervals * self._interval

    def _after_deadline(self) -> int:
        total, count = 0, 0
        for before, answer in zip([None, *self._answers], self._answers, strict=False):
            total += self._pause(before, answer)
            count += total > _DEADLINE and answer.kind is AnswerKind.WAITING
        return count

    def _pause(self, before: "Poll | None", answer: "Poll") -> int:
        """After an error or a wait that the API asked for, up to five minutes were planned."""
        if before is None:
            return 0
        is_longer = before.kind in _SILENT | _REFUSED | {AnswerKind.WAITING}
        return min(answer.began - before.began, 2 * (10 if is_longer else 1) * self._interval)


def _is_noise(poll: "Poll", polls: Sequence["Poll"]) -> bool:
    """A bare 404 speaks of an id only once another one has been answered since this one's first."""
    if poll.kind is not AnswerKind.NOT_FOUND:
        return False
    first = min(p.began for p in polls if p.task_id == poll.task_id and p.kind is AnswerKind.NOT_FOUND)
    others = (p for p in polls if p.task_id != poll.task_id and p.kind in USABLE)
    return not any(first <= other.began <= poll.began for other in others)
