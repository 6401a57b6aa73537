"""Of the newest dead letters those are shown that somebody can do something about."""

from dataclasses import replace
from datetime import timedelta

from tests.factories import AT, letter
from worker.deadletters.letter import LONGEST_TEXT, Position
from worker.deadletters.newest import select_foremost, shorten_texts
from worker.deadletters.row import Row


def row(hours: int, state: str = "open") -> Row:
    rejected_at = (AT + timedelta(hours=hours)).isoformat()
    return replace(Row.from_letter(letter(Position(0, hours), dlq_rejected_at=rejected_at), (), None), state=state)


def test_open_letters_are_not_hidden_behind_newer_ones_that_were_replayed() -> None:
    letters = [row(1), row(2), row(3, "replayed"), row(4, "replayed"), row(5, "discarded")]

    assert [row.position for row in select_foremost(letters, 4)] == ["0:2", "0:1", "0:5", "0:4"]


def test_no_text_that_a_producer_wrote_is_kept_at_any_length() -> None:
    long = "x" * 2_000_000
    kept = shorten_texts(Row.from_letter(letter(dlq_reason=long, dlq_truncated=long), (), None))

    assert (len(kept.reason), len(kept.truncated)) == (LONGEST_TEXT, LONGEST_TEXT)
