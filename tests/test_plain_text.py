"""Plain text is printable, and JSON says the same as before."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.plain_text import escape, escape_lines, to_json

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


@given(ANY_TEXT)
def test_escaped_text_is_printable_and_has_the_lines_that_it_had(text: str) -> None:
    assert escape(text).isprintable()
    assert escape_lines(text).replace("\n", "").isprintable()
    assert escape_lines(text).count("\n") == text.count("\n")


def test_what_can_be_read_stays_as_it_is() -> None:
    text = "Ünïcode, 日本語, עברית, 😀 (50 %)"

    assert escape(text) == escape_lines(text) == text


@given(st.recursive(ANY_TEXT | st.none() | st.integers(), lambda inner: st.dictionaries(ANY_TEXT, inner)))
def test_json_is_printable_ascii_and_says_the_same(value: object) -> None:
    shown = to_json(value)

    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == value


def test_ids_and_times_are_texts_in_json_and_nothing_else_is() -> None:
    id, at = uuid4(), datetime(2026, 11, 30, 12, tzinfo=UTC)

    assert json.loads(to_json([id, at, at.date()])) == [str(id), "2026-11-30T12:00:00+00:00", "2026-11-30"]
    with pytest.raises(TypeError, match="bytes"):
        to_json(b"")
