"""Plain text is printable, and JSON says the same as before."""

import json

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
