"""Remembers which ids the API has answered, to tell trouble with one id from trouble with the API."""

from bot.core.verdicts import Others

_MAX_MARKS = 10_000


class AnsweredIds:
    """Counts answers, not time, so that no clock matters. Kept in memory only; a restart begins at zero."""

    def __init__(self) -> None:
        self._count = 0
        self._latest: tuple[str, int] | None = None
        self._latest_other: tuple[str, int] | None = None  # of another id than the latest
        self._last_poll: dict[str, int] = {}
        self._first_404: dict[str, int] = {}

    @property
    def latest(self) -> str | None:
        """The id that was answered last; None before the first answer."""
        return self._latest[0] if self._latest else None

    def answered(self, task_id: str) -> None:
        """Count a status of this id."""
        self._count += 1
        if self._latest is not None and self._latest[0] != task_id:
            self._latest_other = self._latest
        self._latest = (task_id, self._count)
        self.forget(task_id)

    def forget(self, task_id: str) -> None:
        """Remove the marks of this id: its last poll and its first 404."""
        self._last_poll.pop(task_id, None)
        self._first_404.pop(task_id, None)

    def others(self, task_id: str, *, is_404: bool) -> Others:
        """Return whether another id was answered since this one's last poll, and since its first 404.

        Marks this poll, too.
        """
        latest = self._latest_of_another(task_id)
        others = Others(
            answered_since_last_poll=latest > self._last_poll.get(task_id, self._count),
            answered_since_first_404=latest > self._first_404.get(task_id, self._count),
        )
        _set_mark(self._last_poll, task_id, self._count)
        if is_404:
            _set_mark(self._first_404, task_id, self._first_404.get(task_id, self._count))
        return others

    def _latest_of_another(self, task_id: str) -> int:
        for found in (self._latest, self._latest_other):
            if found is not None and found[0] != task_id:
                return found[1]
        return 0


def _set_mark(marks: dict[str, int], task_id: str, count: int) -> None:
    """Set a mark. The oldest goes when there are too many, because untracked ids are never polled again."""
    if len(marks) >= _MAX_MARKS and task_id not in marks:
        del marks[next(iter(marks))]
    marks[task_id] = count
