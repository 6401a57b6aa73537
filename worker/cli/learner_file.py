"""Reads descriptions of learners from a file: JSON, an object a line, or CSV whose first line names the columns.

What is wrong is told by the number of the line and the field, without what stands there.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from events.learners import LearnerDescribed, MailConsent
from worker.errors import ProgressError
from worker.importers.lines import read_lines
from worker.learners.descriptions import EXPECTED, BadDescription, build_description

KINDS_OF_MAIL = tuple(MailConsent.model_fields)
FIELDS = ", ".join(EXPECTED)


def read_descriptions(path: Path, doing: str) -> Iterator[LearnerDescribed | str]:
    """Yields the description of each line, or in its place one text that says why there is none.

    Shows a bar on a terminal. Raises ProgressError for a file that cannot be read, or whose columns are not known.
    """
    with read_lines(path, doing) as lines:
        columns: list[str] | None = None
        for place, (number, raw) in enumerate(lines):
            line = raw.removeprefix(b"\xef\xbb\xbf")  # as spreadsheets begin a file
            if place == 0 and not line.lstrip().startswith(b"{"):
                columns = read_columns(line, path)
                continue
            try:
                yield build_description(read_row(line, columns) if columns else read_object(line))
            except BadDescription as error:
                yield f"line {number:,}: {error}"


def read_columns(line: bytes, path: Path) -> list[str]:
    """Reads the names of the columns. Raises ProgressError for others than the fields, or without user_id."""
    try:
        columns = [name.strip().lower() for name in split_cells(line)]
    except BadDescription:
        columns = []
    if "user_id" not in columns or not set(columns) <= EXPECTED.keys() or len(set(columns)) < len(columns):
        raise ProgressError(f"{path}: the first line must name the columns, user_id and any of {FIELDS}")
    return columns


def read_row(line: bytes, columns: list[str]) -> dict[str, Any]:
    """Reads a line of CSV, in which an empty cell says nothing, and mail lists what the learner has agreed to."""
    cells = split_cells(line)
    if len(cells) != len(columns):
        raise BadDescription("columns", f"{len(cells)}, and the first line has {len(columns)}")
    found: dict[str, Any] = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    return found | ({"mail": read_consent(found["mail"])} if "mail" in found else {})


def read_object(line: bytes) -> dict[str, Any]:
    """Reads a line of JSON. Raises BadDescription for anything but an object with the fields that are known."""
    try:
        found = from_json(line)
    except ValueError:
        raise BadDescription("line", "not JSON") from None
    if not isinstance(found, dict) or not found.keys() <= EXPECTED.keys():
        raise BadDescription("fields", f"not an object with none but {FIELDS}")
    return found


def read_consent(text: str) -> MailConsent:
    """Reads kinds of mail, with commas or spaces between them. Raises BadDescription for another word."""
    words = text.replace(",", " ").split()
    if not set(words) <= set(KINDS_OF_MAIL):
        raise BadDescription("mail", f"not {' or '.join(KINDS_OF_MAIL)}, or both with a comma between them")
    return MailConsent(**dict.fromkeys(words, True))


def split_cells(line: bytes) -> list[str]:
    try:
        rows = list(csv.reader([line.decode().rstrip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise BadDescription("line", "not CSV in UTF-8") from None
    return rows[0] if rows else []
