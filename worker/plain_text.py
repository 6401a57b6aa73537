"""Makes text plain that a stranger may have written, so that it cannot steer a terminal or fake a line."""

import json
from datetime import date
from uuid import UUID


def escape(text: str) -> str:
    """Writes every character that is not printable as an escape: controls, line separators, bidirectional marks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def escape_lines(text: str) -> str:
    """Escapes each line of a text that has lines on purpose."""
    return "\n".join(escape(line) for line in text.split("\n"))


def to_json(value: object) -> str:
    """Writes JSON on one line, in ASCII that is printable; an id and a time as text."""
    return json.dumps(value, default=_to_text).replace(
        "\x7f", "\\u007f"
    )  # DEL, which JSON allows in a text, and only there


def _to_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
