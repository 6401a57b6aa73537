"""Every kind of dead letter is told from the others, and says what to do."""

import re
from pathlib import Path

import pytest

from events.kinds import Kind, MalformedEvent

DOCUMENT = Path(__file__).parents[2] / "docs" / "deadletters.md"


def test_the_table_of_the_document_has_every_kind_once() -> None:
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    kinds = [kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row)]

    assert sorted(kinds) == sorted(Kind)


def test_a_kind_of_a_newer_worker_is_unknown() -> None:
    assert Kind("of tomorrow") is Kind.UNKNOWN


@pytest.mark.parametrize(("text", "line"), [(("ce_id", "twice"), "ce_id: twice"), (("why",), "why")])
def test_a_reason_has_one_line(text: tuple[str, ...], line: str) -> None:
    assert str(MalformedEvent(*text)) == line
