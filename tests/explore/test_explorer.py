"""The explorer itself: the same seed gives the same steps, and what must happen now and then does."""

from unittest import mock

import pytest

from tests.explore import discord_model
from tests.explore.explorer import explorer
from tests.explore.schedule import Fault, Kind, Schedule

# What must happen in some schedule, and the one in which it does.
SOMETIMES = [
    ("a nonce answered with the first message", "deleted", [(Kind.STOP_AFTER, "text result")]),
    ("a look-up that found it", "busy-channel", [(Kind.STOP_AFTER_LONG, "text result")]),
    ("a lease taken over", "link", [(Kind.FREEZE_AFTER, "host: get")]),
    ("an outcome under a lost lease", "one-task", [(Kind.FREEZE_AFTER, "upload result")]),
    ("a 413 learnt", "refused-uploads", []),
    ("a direct message told", "channel-gone", []),
    ("a fresh link used", "link", []),
    ("a resumed download", "link", []),
    ("a revived undeliverable", "permission", []),
    ("a database put back", "one-task", [(Kind.PUT_BACK, "api: poll")]),
]


@pytest.mark.parametrize(
    "text",
    [
        "one-task 0 9:freeze-after",
        "mixed-ids 7 12:stop-after 20:lost",
        "refused-uploads 3 15:put-back",
        "two-workers 11 9:end",
    ],
)
def test_same_schedule_gives_the_same_steps(text: str) -> None:
    with explorer() as exploring:
        first = exploring.run(Schedule.parse(text))
        again = exploring.run(Schedule.parse(text))

    assert first.steps == again.steps
    assert first.counts == again.counts
    assert first.violations == again.violations == ()


def test_branch_gives_the_same_as_its_replay() -> None:
    """With a nonce that is another each time, so that there is something to find."""
    nonces = (f"v{number}" for number in range(10_000))
    with (
        mock.patch.object(discord_model, "nonce_of", side_effect=nonces),
        mock.patch.object(discord_model, "APPEARS_AFTER", 10**9),
        explorer() as exploring,
    ):
        exploring.single_steps("permission")
        found = list(exploring.found.failures)
        again = [exploring.run(failure.schedule) for failure in found]

    assert {step.what.partition(" ")[0] for ran in found for step in ran.steps[-1:]} >= {"disk:"}
    assert len(found) > 1
    assert [ran.report() for ran in again] == [ran.report() for ran in found]
    assert [ran.steps for ran in again] == [ran.steps for ran in found]


def test_seed_decides_the_order() -> None:
    with explorer() as exploring:
        orders = {
            tuple(s.what for s in exploring.run(Schedule("mixed-ids", seed)).steps) for seed in range(1, 6)
        }

    assert len(orders) > 1


def test_schedule_is_read_back() -> None:
    schedule = Schedule("one-task", 7, (Fault(23, Kind.STOP_AFTER), Fault(31, "untrack-after")))

    assert str(schedule) == "one-task 7 23:stop-after 31:untrack-after"
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(("what", "scenario", "where"), SOMETIMES, ids=[what for what, *_ in SOMETIMES])
def test_what_must_happen_happens(what: str, scenario: str, where: list[tuple[str, str]]) -> None:
    with explorer() as exploring:
        exploring.at(scenario, where)

    assert exploring.found.counts[what] > 0
