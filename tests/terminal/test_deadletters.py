"""How dead letters look: bytes as bytes, and nothing that steers a terminal."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from tests.factories import AT, letter, record
from worker.deadletters.letter import Fate, Letter, Position, Resolution
from worker.deadletters.row import Row
from worker.plain_text import escape
from worker.terminal.deadletters import (
    NewestRows,
    format_counts,
    format_hexdump,
    format_letter,
    letter_to_json,
    print_table,
)


def letter_with(**changed: Any) -> Letter:
    return replace(letter(), record=record(**changed))


@given(st.text())
def test_nothing_that_a_producer_wrote_steers_a_terminal(text: str) -> None:
    shown = format_letter(
        letter_with(value=text.encode(errors="replace"), headers=[("x", text.encode(errors="replace"))]), None
    )

    assert escape(text).isprintable()
    assert shown.replace("\n", "").isprintable()


def test_the_table_shows_escapes_and_brackets_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    evil = replace(letter(), reason="\x1b[31m [bold]red")

    print_table([Row.from_letter(evil, [evil.position], Resolution(evil.position, Fate.DISCARDED, "", ""))])

    assert "[discarded] \\x1b[31m [bold]red" in capsys.readouterr().out


def test_a_truncated_letter_says_so_wherever_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    part = letter(dlq_truncated="600000, key 7", dlq_value_sha256="ab12")

    print_table([Row.from_letter(part, [part.position], None), Row.from_letter(letter(), [], None)])

    assert capsys.readouterr().out.count("[truncated] user_id: Field required") == 1
    assert "value 600000, key 7, SHA-256 of the whole value: ab12" in format_letter(part, None)
    shown = json.loads(letter_to_json(part, None))
    assert (shown["truncated"], shown["value_sha256"]) == ("value 600000, key 7", "ab12")
    assert "truncated" not in format_letter(letter(), None)
    assert json.loads(letter_to_json(letter(), None))["truncated"] == ""


def test_bytes_are_shown_as_bytes() -> None:
    assert format_hexdump(b"\xff\xfe text and more\x00") == [
        "00000000  ff fe 20 74 65 78 74 20 61 6e 64 20 6d 6f 72 65  |.. text and more|",
        "00000010  00                                               |.|",
    ]
    assert "|..|" in format_letter(letter_with(value=b"\xff\xfe", key=b"\xff"), None)
    assert "b'\\xff'" in format_letter(letter_with(key=b"\xff"), None)


def test_a_header_that_is_there_twice_is_shown_twice() -> None:
    shown = format_letter(letter_with(headers=[("ce_id", b"first"), ("ce_id", b"second")]), None)

    assert "first" in shown
    assert "second" in shown


@pytest.mark.parametrize("value", [b"9" * 5000, b'{"type": ' + b"9" * 5000 + b"}", b"[" * 90_000, b"NaN", b"1e999"])
def test_json_that_is_hard_to_write_is_shown(value: bytes) -> None:
    hard = letter_with(value=value, headers=[], timestamp=-(10**17))

    assert format_letter(hard, None)
    assert json.loads(letter_to_json(hard, None))["value"] == {"text": value.decode()}


def test_of_many_bytes_the_first_are_shown() -> None:
    shown = format_letter(letter_with(value=b"\xff" * 1_000_000), None)

    assert shown.count("|") < 300
    assert "1,000,000 bytes" in shown


def test_json_is_shown_indented() -> None:
    assert '  "lesson_id": "é"' in format_letter(letter_with(value='{"lesson_id":"é"}'.encode()), None)


@given(st.binary() | st.text().map(str.encode), st.none() | st.binary())
def test_as_json_a_letter_is_complete(value: bytes, key: bytes | None) -> None:
    shown = json.loads(letter_to_json(letter_with(value=value, key=key, headers=[("trace", value)]), None))

    assert as_bytes(shown["value"]) == as_bytes(shown["headers"][0]) == value
    assert (shown["key"] and as_bytes(shown["key"])) == key


def as_bytes(content: dict[str, str]) -> bytes:
    return content["text"].encode() if "text" in content else b64decode(content["base64"])


def test_of_many_rows_the_latest_are_kept_in_their_order() -> None:
    newest = NewestRows(2)
    for days in (3, 1, 4, 2):
        found = letter(Position(0, days), dlq_rejected_at=(AT + timedelta(days)).isoformat())
        newest.add(Row.from_letter(found, [found.position], None))

    assert [row.position for row in newest] == ["0:3", "0:4"]


def test_kinds_are_counted_the_most_frequent_first() -> None:
    assert format_counts({Kind.TIME: 1, Kind.SCHEMA: 1200}) == "1,201 open: schema 1,200, time 1"
