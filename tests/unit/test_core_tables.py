"""The two state tables, the error tree, and what is stored as text."""

import itertools
import time

import pytest

from bot.core import errors, tasks
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import system_clock, to_datetime
from bot.core.errors import CannotStart, CourierError, IllegalMove, SettingsWrong, TryLater
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DELIVERY_MOVES, TASK_MOVES, DeliveryState, TaskState, may_become
from bot.core.tracking import QuotaReached
from tests.factories import NOW

T, D = TaskState, DeliveryState
TASK_TABLE = {
    (T.WAITING, T.WAITING),
    (T.WAITING, T.COMPLETED),
    (T.WAITING, T.FAILED),
    (T.WAITING, T.LOST),
    (T.LOST, T.WAITING),
}
DELIVERY_TABLE = {
    (D.OPEN, D.DUE),
    (D.OPEN, D.CANCELLED),
    (D.DUE, D.DUE),
    (D.DUE, D.POSTED),
    (D.DUE, D.UNDELIVERABLE),
    (D.DUE, D.CANCELLED),
    (D.UNDELIVERABLE, D.DUE),
}
ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
EXIT_CODES = {"SettingsWrong": 2, "DependencyDown": 69, "TokenRefused": 77}


@pytest.mark.parametrize(("source", "target"), list(itertools.product(T, T)))
def test_task_move_is_allowed_exactly_when_the_design_names_it(source: TaskState, target: TaskState):
    """waiting -> completed | failed | lost; a lost one may be polled again; the others stay."""
    assert (str(source) in may_become(target)) == ((source, target) in TASK_TABLE)


@pytest.mark.parametrize(("source", "target"), [p for p in itertools.product(D, D) if p[1] is not D.OPEN])
def test_delivery_move_is_allowed_exactly_when_the_design_names_it(
    source: DeliveryState, target: DeliveryState
):
    """open -> due -> posted | undeliverable, open | due -> cancelled; undeliverable may become due again."""
    assert (str(source) in may_become(target)) == ((source, target) in DELIVERY_TABLE)


def test_state_that_nothing_leads_to_is_an_illegal_move():
    """A delivery is born open; no WHERE clause may be built that matches nothing."""
    with pytest.raises(IllegalMove, match="open"):
        may_become(D.OPEN)


def test_tables_know_every_state():
    """A state without a row would be one without a decision."""
    assert set(TASK_MOVES) == set(T)
    assert set(DELIVERY_MOVES) == set(D)


def test_live_states_are_those_that_owe_something():
    """The quota, the unique index and "already tracked" all count these two."""
    assert tasks.LIVE == (D.OPEN, D.DUE)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
def test_error_class_descends_from_the_common_base(error: type[Exception]):
    """`except CourierError` catches everything that the program raises on purpose, and nothing else."""
    assert issubclass(error, CourierError)


@pytest.mark.parametrize("error", [e for e in ERRORS if issubclass(e, CannotStart) and e is not CannotStart])
def test_start_error_has_the_exit_code_of_the_contract(error: type[CannotStart]):
    """2 settings, 69 dependency, 77 token."""
    assert error.exit_code == EXIT_CODES[error.__name__]


def test_start_errors_are_exactly_those_of_the_contract():
    """An exit code that the README does not name is of no use."""
    assert {e.__name__ for e in ERRORS if issubclass(e, CannotStart)} - {"CannotStart"} == set(EXIT_CODES)


def test_quota_error_is_one_of_ours():
    """It is defined beside the results of tracking, and still in the tree."""
    assert issubclass(QuotaReached, CourierError)


def test_settings_error_says_one_problem_per_line():
    """The operator reads the message as it is."""
    error = SettingsWrong(["A: missing", "B: not a number"])

    assert str(error).splitlines() == error.problems


def test_later_error_carries_the_wished_delay():
    """The loop must not undercut what the other side wants."""
    assert errors.DiscordUnavailable("slow", retry_after=2.5).retry_after == 2.5
    assert errors.LinkRefused("gone").retry_after is None


def test_later_error_carries_its_problem_for_people():
    """The message is for the log."""
    error = errors.LinkRefused("403 from cdn.example", status=403)

    assert error.problem == Problem(ProblemCode.LINK_REFUSED, {"status": 403})
    assert str(error) == "403 from cdn.example"


@pytest.mark.parametrize("error", [e for e in ERRORS if issubclass(e, TryLater)])
def test_later_error_of_each_class_has_a_code(error: type[TryLater]):
    """A default, because the world is open."""
    assert error("x").problem.code in ProblemCode


def test_final_error_carries_a_code_with_its_data():
    """It is stored, and shown in words of the chat."""
    error = errors.VideoUnusable(ProblemCode.VIDEO_TOO_LARGE, limit=10, size=20)

    assert error.problem == Problem(ProblemCode.VIDEO_TOO_LARGE, {"limit": 10, "size": 20})
    assert str(error) == "video_too_large limit=10 size=20"


@pytest.mark.parametrize("code", ProblemCode)
def test_problem_survives_being_stored(code: ProblemCode):
    """With numbers and with words from outside."""
    problem = Problem(code, {"size": 7, "api_status": '"{queued}" 内容\n'})

    assert Problem.from_text(problem.to_text()) == problem


def test_same_problem_is_the_same_text():
    """Rows are grouped by it."""
    one = Problem(ProblemCode.PAST_DEADLINE, {"deadline": 1, "api_status": "x"})
    two = Problem(ProblemCode.PAST_DEADLINE, {"api_status": "x", "deadline": 1})

    assert one.to_text() == two.to_text()


@pytest.mark.parametrize(
    "text",
    ["", "The thread is locked.", "{", "{}", "[]", '{"code": "new_in_2030"}', '{"code": 7}', '{"code": []}'],
)
def test_sentence_of_an_older_version_is_no_problem(text: str):
    """It is shown as it is."""
    assert Problem.from_text(text) is None


@pytest.mark.parametrize("is_shown", [False, True])
@pytest.mark.parametrize("reason", PauseReason)
def test_pause_state_survives_being_stored(reason: PauseReason, is_shown: bool):
    """Another process reads it from the database."""
    state = PauseState(reason, NOW, NOW + 5, is_shown)

    assert PauseState.from_text(state.to_text()) == state


def test_pause_state_of_an_older_version_is_read():
    """It did not say whether it is shown."""
    text = f'{{"kind": "key refused", "since": {NOW}, "until": {NOW + 5}}}'

    assert PauseState.from_text(text) == PauseState(PauseReason.KEY_REFUSED, NOW, NOW + 5)


def test_datetime_of_milliseconds_is_aware():
    """Naive times are how bots end up posting in the wrong hour."""
    moment = to_datetime(1_800_000_000_123)

    assert moment.isoformat(timespec="milliseconds") == "2027-01-15T08:00:00.123+00:00"


def test_system_clock_is_the_wall_clock_in_whole_milliseconds():
    """Due times must survive a restart."""
    before, now, after = time.time(), system_clock(), time.time()

    assert isinstance(now, int)
    assert int(before * 1000) <= now <= after * 1000 + 1
