"""Formats dead letters for a terminal, and as JSON. A producer's text reaches a terminal only with escapes."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from heapq import heappop, heappush

from pydantic import TypeAdapter
from pydantic_core import from_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.kinds import Kind
from worker.deadletters.letter import Letter, Resolution
from worker.deadletters.row import Row, sort_key
from worker.plain_text import escape, to_json

BYTES_SHOWN = 2048
BYTES_PER_LINE = 16
WIDTH_OF_A_FILE = 200  # characters per line where the output is not a terminal


class NewestRows:
    """Keeps the rows that were rejected last, at most `limit`, and yields them in the order of time."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[datetime, str], Row]] = []

    def add(self, row: Row) -> None:
        heappush(self._heap, (sort_key(row), row))
        if self._limit is not None and len(self._heap) > self._limit:
            heappop(self._heap)

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in sorted(self._heap, key=lambda entry: entry[0]))


def print_table(rows: Iterable[Row]) -> None:
    """Prints one line per row, in the order given."""
    columns = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("position", "rejected at", "kind"):
        columns.add_column(name, no_wrap=True)
    for name in ("type", "origin"):
        columns.add_column(name, no_wrap=True, overflow="ellipsis")
    columns.add_column("attempts", justify="right")
    columns.add_column("reason", no_wrap=True, overflow="ellipsis", min_width=20)
    for row in rows:
        state = "" if row.state == "open" else f"[{row.state}] "
        truncated = "[truncated] " if row.truncated else ""
        copies = f" ({row.copies} copies)" if row.copies > 1 else ""
        origin = f"{row.origin or '?'}{copies}"
        texts = [row.position, _format_time(row.rejected_at), row.kind, row.type, origin, str(row.attempts)]
        columns.add_row(*(Text(escape(text)) for text in [*texts, state + truncated + row.reason]))
    _open_console().print(columns)


def format_counts(kinds: Mapping[Kind, int], what: str = "open") -> str:
    """Formats the number of letters by kind, the most frequent first: `12 open: schema 9, not-json 3`."""
    each = ", ".join(f"{kind} {number:,}" for kind, number in sorted(kinds.items(), key=lambda item: -item[1]))
    return f"{sum(kinds.values()):,} {what}: {each}"


def format_letter(letter: Letter, resolution: Resolution | None) -> str:
    """Formats a whole letter to be read: its fields, one a line, and then its value."""
    record = letter.record
    fields = [
        ("position", str(letter.position)),
        ("state", _format_state(resolution)),
        ("rejected at", f"{_format_time(letter.rejected_at)} by {letter.group or '?'}"),
        ("kind", letter.kind),
        ("reason", letter.reason),
        *([("truncated", format_truncation(letter))] if letter.truncated else []),
        ("type", letter.type or "?"),
        ("origin", str(letter.origin or "?")),
        ("attempts", str(letter.attempts)),
        ("timestamp", _format_timestamp(record.timestamp)),
        ("key", _format_bytes(record.key)),
        *((f"header {name}", _format_bytes(value)) for name, value in record.headers),
    ]
    lines = [f"{escape(name):<15} {escape(text)}" for name, text in fields]
    return "\n".join([*lines, "", *_format_value(record.value or b"")])


def rows_to_json(rows: Iterable[Row]) -> str:
    """Formats rows as one JSON object a line."""
    return "\n".join(to_json(TypeAdapter(Row).dump_python(row, mode="json")) for row in rows)


def letter_to_json(letter: Letter, resolution: Resolution | None) -> str:
    """Formats a whole letter as one JSON object; bytes that are not UTF-8 are in base64."""
    record = letter.record
    row = TypeAdapter(Row).dump_python(Row.from_letter(letter, (), resolution), mode="json")
    del row["copies"]
    return to_json(
        row
        | {
            "resolution": TypeAdapter(Resolution | None).dump_python(resolution, mode="json"),
            "value_sha256": letter.value_sha256 or None,
            "consumer_group": letter.group,
            "timestamp_ms": record.timestamp,
            "key": _encode_bytes(record.key),
            "headers": [{"name": name, **(_encode_bytes(value) or {})} for name, value in record.headers],
            "value": _encode_bytes(record.value),
        }
    )


def format_truncation(letter: Letter) -> str:
    """Formats what a truncated letter lacks, on one line."""
    digest = f", SHA-256 of the whole value: {letter.value_sha256}" if letter.value_sha256 else ""
    return f"a part is cut; whole sizes in bytes: {letter.truncated}{digest}"


def format_hexdump(value: bytes) -> list[str]:
    """Formats bytes 16 a line: offset, hexadecimal, and ASCII with a dot for what is not printable."""
    lines = []
    for start in range(0, len(value), BYTES_PER_LINE):
        part = value[start : start + BYTES_PER_LINE]
        ascii_only = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<{BYTES_PER_LINE * 3}} |{ascii_only}|")
    return lines


def _format_value(value: bytes) -> list[str]:
    size = f"value           {len(value):,} bytes"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        shown = format_hexdump(value[:BYTES_SHOWN])
        more = [f"… ({BYTES_SHOWN:,} bytes shown; --raw writes them all)"] if len(value) > BYTES_SHOWN else []
        return [size, *shown, *more]
    try:
        parsed = from_json(value)
    except ValueError:
        return [f"{size}, not JSON", *(f"  {escape(line)}" for line in text.split("\n"))]  # no line can pass for ours
    pretty = json.dumps(parsed, indent=2, ensure_ascii=False)
    return [f"{size}, JSON", *map(escape, pretty.split("\n"))]


def _encode_bytes(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def _format_bytes(value: bytes | None) -> str:
    """Decodes UTF-8; writes other bytes as Python does."""
    if value is None:
        return "none"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return repr(value)


def _format_state(resolution: Resolution | None) -> str:
    if resolution is None:
        return "open"
    to = f" to {resolution.to}" if resolution.to else ""
    return f"{resolution.fate} at {resolution.at} by {resolution.by}{to}"


def _format_time(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if moment else "?"


def _format_timestamp(timestamp_ms: int) -> str:
    try:
        return f"{timestamp_ms} ({_format_time(datetime.fromtimestamp(timestamp_ms / 1000, UTC))})"
    except (ValueError, OverflowError, OSError):  # Kafka accepts any number as a timestamp
        return str(timestamp_ms)


def _open_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
