"""Which ids the API answered recently, as evidence about the others; without a clock."""

from bot.core.verdicts import Others
from bot.work.answered_ids import AnsweredIds

NO_OTHER = Others()
SINCE_LAST_POLL = Others(answered_since_last_poll=True)
SINCE_FIRST_404 = Others(answered_since_last_poll=True, answered_since_first_404=True)


def test_first_refusal_of_an_id_has_no_answered_others():
    """Answers before its first poll may be too old."""
    ids = AnsweredIds()
    ids.answered("good")

    assert ids.others("bad", is_404=False) == NO_OTHER


def test_other_id_that_is_answered_between_two_polls_counts():
    """The API works, and refuses only this id."""
    ids = AnsweredIds()
    ids.others("bad", is_404=False)
    ids.answered("good")

    assert ids.others("bad", is_404=False) == SINCE_LAST_POLL
    assert ids.others("bad", is_404=False) == NO_OTHER


def test_answer_about_the_id_itself_does_not_count():
    ids = AnsweredIds()
    ids.answered("one")
    ids.others("one", is_404=True)
    ids.answered("one")

    assert ids.others("one", is_404=True) == NO_OTHER


def test_answered_other_id_is_remembered_among_later_answers():
    ids = AnsweredIds()
    ids.others("bad", is_404=False)
    ids.answered("good")
    ids.answered("third")

    assert ids.others("good", is_404=False) == NO_OTHER
    assert ids.others("bad", is_404=False) == SINCE_LAST_POLL


def test_answer_since_the_first_404_counts_for_every_later_one():
    """It shows that the address is right."""
    ids = AnsweredIds()
    ids.others("gone", is_404=True)
    ids.answered("good")
    assert ids.others("gone", is_404=True) == SINCE_FIRST_404

    assert ids.others("gone", is_404=True) == Others(answered_since_first_404=True)


def test_answer_clears_the_refusals_of_its_id():
    """The next 404 is the first one again."""
    ids = AnsweredIds()
    ids.others("one", is_404=True)
    ids.answered("good")
    ids.answered("one")

    assert ids.others("one", is_404=True) == NO_OTHER


def test_forgotten_id_starts_without_history():
    """Its task ended, and may be tracked again."""
    ids = AnsweredIds()
    ids.others("one", is_404=True)
    ids.answered("good")
    ids.forget("one")

    assert ids.others("one", is_404=True) == NO_OTHER


def test_latest_is_the_id_that_was_answered_last():
    """The next probe polls it."""
    ids = AnsweredIds()
    assert ids.latest is None
    ids.answered("a")
    ids.answered("b")
    ids.others("c", is_404=False)

    assert ids.latest == "b"


def test_marks_are_bounded_and_the_oldest_goes_first():
    """Ids that are untracked are never polled again."""
    ids = AnsweredIds()
    for number in range(10_001):
        ids.others(f"t{number}", is_404=True)
    ids.answered("good")

    assert ids.others("t0", is_404=True) == NO_OTHER
    assert ids.others("t10000", is_404=True) == SINCE_FIRST_404
