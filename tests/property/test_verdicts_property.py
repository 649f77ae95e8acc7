"""A model of the API checks the verdicts: no trouble ends a task that would have been completed in time.

The model computes the sums by which the contract ends a task, and stops before each limit. Every other answer
may come in any order and number, while the wall clock steps.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bot.core.answers import USABLE, Answer, AnswerKind
from bot.core.backoff import max_poll_pause
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.tasks import Doubt, TaskState, TrackedTask
from bot.core.verdicts import Final, Others, PollRules, StillWaiting, Verdict, judge
from bot.veo.reply import read_reply
from bot.work.answered_ids import AnsweredIds
from tests.factories import NOW, TASK, URL, make_task

OTHER = "vgen_other999"
Reply = tuple[int, bytes] | None  # None: no answer
K = AnswerKind

RULES = st.sampled_from(
    [
        PollRules(30 * SECOND, 6 * HOUR),
        PollRules(10 * SECOND, 20 * MINUTE),
        PollRules(10 * MINUTE, 6 * HOUR),
    ]
)
STEPS = st.one_of(
    st.integers(-60 * SECOND, 60 * SECOND),
    st.sampled_from([-8 * HOUR, -HOUR, -10 * MINUTE, 0, 10 * MINUTE, HOUR, 8 * HOUR, 30 * DAY]),
)
TIMES = st.sampled_from([1, 1, 2, 3, 8, 25])


def document(task_id: str, status: str, **fields: Any) -> bytes:
    return json.dumps({"id": task_id, "object": "video", "status": status, **fields}).encode()


def envelope(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


COMPLETED = (200, document(TASK, "completed", video_url=URL))
ERRORS: list[Reply] = [
    (500, b""),
    (502, b"<html>Bad Gateway</html>"),
    (503, envelope(message="task not found")),
    (200, b""),
    (200, b"<html>login</html>"),
    (200, b"{not JSON"),
    (200, envelope(code=-1, msg="Internal server error", data=None)),
    (200, envelope(status="error", message="Internal error")),
    (200, document("vgen_a_third", "completed", video_url="https://h.example/3.mp4")),
    (200, document("vgen_a_third", "failed", error="unsafe")),
    (400, envelope(error={"message": "bad"})),
    (403, envelope(error={"message": "You do not have access to this task"})),
]
KEY_REFUSALS: list[Reply] = [
    (401, b""),
    (200, envelope(code="204", msg="登录验证失败")),
    (400, envelope(error={"message": "Invalid API key"})),
]
UNKNOWN: list[Reply] = [
    (404, envelope(error={"message": "task not found"})),
    (200, envelope(code=1001, msg="任务不存在")),
]
BARE_404: list[Reply] = [(404, b""), (410, b""), (404, envelope(detail="Not Found"))]
DOUBTFUL: dict[Doubt, Reply] = {
    Doubt.COMPLETED: (200, document(TASK, "succeed", video_url="https://h.example/early.mp4")),
    Doubt.FAILED: (200, document(TASK, "rejected", error="busy")),
    Doubt.NO_VIDEO: (200, document(TASK, "completed", video_url=None)),
}


class PolledTasks:
    """Two tasks as the poller and the store keep them, on a wall clock that may step."""

    def __init__(self, rules: PollRules) -> None:
        self.rules = rules
        self.clock = NOW
        self.step_during_poll = 0
        self.answered = AnsweredIds()
        self.rows = {task_id: make_task(id=task_id, due_at=NOW) for task_id in (TASK, OTHER)}

    def poll(self, task_id: str, reply: Reply) -> tuple[Answer, Verdict]:
        """Wait until the task is due, poll it, and keep its new row."""
        task = self.rows[task_id]
        assert task.due_at is not None
        if task.due_at <= self.clock + max_poll_pause(self.rules.interval):  # else it is pulled back
            self.clock = max(self.clock, task.due_at)
        task = replace(task, polled_at=self.clock)
        self.clock += SECOND + self.step_during_poll
        self.step_during_poll = 0
        answer = Answer(K.SILENCE) if reply is None else read_reply(reply[0], {}, reply[1], task_id)
        verdict = judge(task, answer, self.clock, self.rules, self._others(task, answer))
        if isinstance(verdict, StillWaiting):
            self.rows[task_id] = verdict.task
        return answer, verdict

    def _others(self, task: TrackedTask, answer: Answer) -> Others:
        if answer.kind in USABLE:
            self.answered.answered(task.id)
            return Others()
        if answer.kind in {K.SILENCE, K.THROTTLED}:
            return Others()
        others = self.answered.others(task.id, is_404=answer.kind is K.NOT_FOUND)
        is_unknown = any(
            row.known and row.doubt in {Doubt.UNKNOWN_ID, Doubt.NOT_FOUND}
            for row in self.rows.values()
            if row.id != task.id
        )
        return replace(others, known_id_is_unknown=is_unknown)


class ApiInTrouble(RuleBasedStateMachine):
    """Every answer that an API may give, except those that end a task by the contract's table."""

    @initialize(rules=RULES, other_is_known=st.booleans())
    def start(self, rules: PollRules, other_is_known: bool) -> None:
        self.limits = rules
        self.away = rules.deadline + DAY
        self.tasks = PolledTasks(rules)
        self.is_known = False
        self.last_polled_at: int | None = None
        self.planned = 0
        self.silent = 0  # polled time without a usable answer
        self.spoken = 0  # polled time of answers about this task
        self.doubt: Doubt | None = None  # what the last consecutive answers said,
        self.count = 0  # how many times,
        self.time = 0  # and for how much polled time
        self.other_since_last = False  # the other id was answered since the last error about this one,
        self.other_since_404 = False  # and since the first bare 404 about it
        self.has_404 = self.has_error = False
        if other_is_known:
            self._poll_other((200, document(OTHER, "processing")))

    # -- the limits of the table -------------------------------------------------------------------

    def _max_added(self) -> int:
        """The most that the next poll can add to a sum."""
        return 2 * self.planned if self.last_polled_at is not None else 0

    def _may_repeat(self, doubt: Doubt) -> bool:
        """Whether one more such answer still does not end the task."""
        count = self.count + 1 if self.doubt is doubt else 1
        time = self.time + self._max_added() if self.doubt is doubt else 0
        interval = self.limits.interval
        new_id = count < 3 or time < 6 * interval
        is_patient = {
            Doubt.COMPLETED: count < 2,
            Doubt.FAILED: count < 2,
            Doubt.NO_VIDEO: new_id,
            Doubt.REFUSED: time < 60 * interval,
            Doubt.UNKNOWN_ID: time < 60 * interval if self.is_known else new_id,
        }[doubt]
        return is_patient and self.spoken + self._max_added() <= self.limits.deadline

    def _may_be_silent(self) -> bool:
        return self.silent + self._max_added() < self.away

    # -- polls -------------------------------------------------------------------------------------

    def _poll(self, reply: Reply, doubt: Doubt | None = None, *, is_usable: bool = True) -> None:
        """Poll the task, which must not end. `doubt`: the sum to which the table adds this answer."""
        answer, verdict = self.tasks.poll(TASK, reply)
        assert isinstance(verdict, StillWaiting), f"{answer} made it {verdict}"
        row = verdict.task
        assert row.polled_at is not None
        assert row.due_at is not None
        added = 0 if self.last_polled_at is None else row.polled_at - self.last_polled_at
        added = min(max(added, 0), self._max_added())
        self.last_polled_at, self.planned = row.polled_at, row.due_at - self.tasks.clock
        assert self.limits.interval <= self.planned <= max_poll_pause(self.limits.interval)
        if answer.kind not in {K.SILENCE, K.THROTTLED}:
            self.other_since_last, self.has_error = False, answer.kind not in USABLE
        if not is_usable:
            self.silent += added
            return
        self.silent, self.spoken = 0, self.spoken + added
        if doubt is not None and doubt is self.doubt:
            self.count, self.time = self.count + 1, self.time + added
        else:
            self.doubt, self.count, self.time = doubt, 1, 0

    def _poll_other(self, reply: Reply) -> None:
        answer, verdict = self.tasks.poll(OTHER, reply)
        if isinstance(verdict, Final):
            known = self.tasks.rows[OTHER].known
            self.tasks.rows[OTHER] = make_task(id=OTHER, due_at=self.tasks.clock, known=known)
        if answer.kind in USABLE:
            self.other_since_last = self.has_error
            self.other_since_404 = self.has_404

    def _poll_error(self, reply: Reply) -> bool:
        """An error answer. It concerns only this id if the other id was answered meanwhile."""
        counts = self.other_since_last
        if not (self._may_repeat(Doubt.REFUSED) if counts else self._may_be_silent()):
            return False
        self._poll(reply, Doubt.REFUSED, is_usable=counts)
        return True

    def _is_answered(self) -> None:
        self.is_known = True
        self.has_404 = self.other_since_404 = False

    # -- the API's answers -------------------------------------------------------------------------

    @rule(times=TIMES, status=st.sampled_from(["queued", "processing", "denoising"]), other=st.booleans())
    def works(self, times: int, status: str, other: bool) -> None:
        for _ in range(times):
            if other:
                self._poll_other((200, document(OTHER, status)))
            if self.spoken + self._max_added() > self.limits.deadline:
                return
            self._poll((200, document(TASK, status)))
            self._is_answered()

    @rule(times=TIMES, reply=st.sampled_from(ERRORS + KEY_REFUSALS))
    def answers_nonsense(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other(reply)
            if not self._poll_error(reply):
                return

    @rule(times=TIMES)
    def is_silent(self, times: int) -> None:
        for _ in range(times):
            if not self._may_be_silent():
                return
            self._poll_other(None)
            self._poll(None, is_usable=False)

    @rule(times=TIMES, code=st.sampled_from([(429, b""), (200, envelope(code=429, msg="slow down"))]))
    def asks_to_slow_down(self, times: int, code: Reply) -> None:
        for _ in range(times):
            if not self._may_be_silent():
                return
            self._poll(code, is_usable=False)

    @rule(times=TIMES, reply=st.sampled_from(ERRORS + KEY_REFUSALS))
    def refuses_this_id(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other((200, document(OTHER, "processing")))
            if not self._poll_error(reply):
                return

    @rule(times=TIMES, reply=st.sampled_from(UNKNOWN))
    def does_not_know_this_id(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other((200, document(OTHER, "processing")))
            if not self._may_repeat(Doubt.UNKNOWN_ID):
                return
            self._poll(reply, Doubt.UNKNOWN_ID)

    @rule(times=TIMES, reply=st.sampled_from(BARE_404))
    def finds_nothing_for_this_id(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other((200, document(OTHER, "processing")))
            if not self._poll_404(reply):
                return

    @rule(times=TIMES, reply=st.sampled_from(BARE_404))
    def finds_nothing_at_all(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other(reply)
            if not self._poll_404(reply):
                return

    def _poll_404(self, reply: Reply) -> bool:
        """A bare 404. It concerns this id if the other one was answered since the first 404."""
        counts = self.other_since_404 and (self.other_since_last or not self._other_is_unknown())
        counts = counts or (self.other_since_404 and not self.is_known)
        if not (self._may_repeat(Doubt.UNKNOWN_ID) if counts else self._may_be_silent()):
            return False
        self.has_404 = True
        self._poll(reply, Doubt.UNKNOWN_ID, is_usable=counts)
        return True

    def _other_is_unknown(self) -> bool:
        row = self.tasks.rows[OTHER]
        return row.known and row.doubt in {Doubt.UNKNOWN_ID, Doubt.NOT_FOUND}

    @precondition(lambda self: self.is_known and self.tasks.rows[OTHER].known)
    @rule(times=TIMES, reply=st.sampled_from(UNKNOWN))
    def has_forgotten_everything(self, times: int, reply: Reply) -> None:
        for _ in range(times):
            self._poll_other(reply)
            counts = self.other_since_last or not self._other_is_unknown()
            if not (self._may_repeat(Doubt.UNKNOWN_ID) if counts else self._may_be_silent()):
                return
            self._poll(reply, Doubt.UNKNOWN_ID, is_usable=counts)

    @rule(doubt=st.sampled_from(list(DOUBTFUL)))
    def says_something_doubtful(self, doubt: Doubt) -> None:
        assume(self._may_repeat(doubt))
        self._poll(DOUBTFUL[doubt], doubt)
        self._is_answered()

    @rule(step=STEPS)
    def clock_steps(self, step: int) -> None:
        self.tasks.clock += step

    @rule(step=STEPS)
    def clock_will_step_during_a_poll(self, step: int) -> None:
        self.tasks.step_during_poll = step

    @rule()
    def process_restarts(self) -> None:
        """The memory of answered ids is lost; the rows stay."""
        self.tasks.answered = AnsweredIds()
        self.other_since_last = self.has_error = False
        self.other_since_404 = self.has_404 = False

    def teardown(self) -> None:
        """The API says completed, and the task must end so."""
        if hasattr(self, "tasks"):
            _, verdict = self.tasks.poll(TASK, COMPLETED)
            assert isinstance(verdict, Final)
            assert (verdict.state, verdict.video_url) == (TaskState.COMPLETED, URL)


TestApiInTrouble = ApiInTrouble.TestCase
# Long sequences, because trouble adds up.
TestApiInTrouble.settings = settings(stateful_step_count=25, max_examples=settings().max_examples // 2)


# -- each kind of answer, repeated for ever --------------------------------------------------------

ALONE, ANSWERED = Others(), Others(answered_since_last_poll=True, answered_since_first_404=True)
ALL_UNKNOWN = Others(known_id_is_unknown=True)
# The answer, the evidence about other ids, whether the id is known, the minimum number of answers.
ENDLESS = [
    (Answer(K.UNKNOWN_ID), ALONE, False, 3),
    (Answer(K.NOT_FOUND), ANSWERED, False, 3),
    (Answer(K.UNKNOWN_ID), ALONE, True, 1),
    (Answer(K.NOT_FOUND), ANSWERED, True, 1),
    (Answer(K.UNKNOWN_ID), ALL_UNKNOWN, True, 1),
    (Answer(K.NOT_FOUND), ALONE, True, 1),
    (Answer(K.NOT_FOUND), ALONE, False, 1),
    (Answer(K.NO_VIDEO, "completed"), ALONE, True, 3),
    (Answer(K.PROBABLY_COMPLETED, "succeed", video_url=URL), ALONE, True, 2),
    (Answer(K.PROBABLY_FAILED, "rejected", words="no"), ALONE, True, 2),
    (Answer(K.ERROR), ANSWERED, True, 1),
    (Answer(K.KEY_REFUSED), ANSWERED, False, 1),
    (Answer(K.ERROR), ALONE, True, 1),
    (Answer(K.KEY_REFUSED), ALONE, False, 1),
    (Answer(K.THROTTLED, retry_after=600), ALONE, True, 1),
    (Answer(K.SILENCE), ALONE, False, 1),
    (Answer(K.WAITING, "processing"), ALONE, True, 2),
]


def bound(answer: Answer, others: Others, known: bool, rules: PollRules) -> int:
    """The polled time after which the contract's table ends the task."""
    is_unknown = answer.kind is K.UNKNOWN_ID or (answer.kind is K.NOT_FOUND and others == ANSWERED)
    if is_unknown and others != ALL_UNKNOWN:
        return (60 if known else 6) * rules.interval
    if answer.kind is K.NO_VIDEO:
        return 6 * rules.interval
    if answer.kind in {K.ERROR, K.KEY_REFUSED} and others == ANSWERED:
        return 60 * rules.interval
    if answer.kind in {K.PROBABLY_COMPLETED, K.PROBABLY_FAILED}:
        return 0
    if answer.kind is K.WAITING:
        return rules.deadline
    return rules.deadline + DAY


@pytest.mark.parametrize(
    ("answer", "others", "known", "least"), ENDLESS, ids=lambda value: str(getattr(value, "kind", value))
)
@settings(max_examples=max(settings().max_examples // 10, 1))
@given(
    interval=st.integers(5, 25).map(MINUTE.__mul__),
    deadline=st.integers(1, 6).map(HOUR.__mul__),
    steps=st.lists(STEPS, max_size=20),
)
def test_answer_repeated_for_ever_ends_the_task_within_its_bound(
    answer: Answer, others: Others, known: bool, least: int, interval: int, deadline: int, steps: list[int]
):
    """At the first poll at which the table says so, and not earlier."""
    rules = PollRules(interval, deadline)
    row = make_task(known=known, due_at=NOW)
    clock, count, time, before = NOW, 0, 0, -1
    verdict: Verdict = StillWaiting(row)
    while isinstance(verdict, StillWaiting):
        row = verdict.task
        assert row.due_at is not None
        assert clock < row.due_at <= clock + max_poll_pause(interval) or count == 0
        planned, last = row.due_at - clock, clock
        clock = row.due_at + (steps.pop() if steps else 0)
        count += 1
        before, time = time, time + (min(max(clock - last, 0), 2 * planned) if count > 1 else 0)
        verdict = judge(replace(row, polled_at=clock), answer, clock, rules, others)

    end = bound(answer, others, known, rules)
    assert count >= least
    assert time >= end
    assert count == least or before <= end + (2 * max_poll_pause(interval) if answer.kind is K.WAITING else 0)
