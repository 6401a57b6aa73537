"""Makes text plain that a stranger may have written, so that it cannot steer a terminal or fake a line."""

import json


def escape(text: str) -> str:
    """Writes every character that is not printable as an escape: controls, line separators, bidirectional marks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def escape_lines(text: str) -> str:
    """Escapes each line of a text that has lines on purpose."""
    return "\n".join(escape(line) for line in text.split("\n"))


def to_json(value: object) -> str:
    """Writes JSON on one line, in ASCII that is printable."""
    return json.dumps(value).replace("\x7f", "\\u007f")  # DEL, which JSON allows in a text, and only there


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
