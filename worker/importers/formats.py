"""Names the formats that files are in, so that a message says what was found instead of what is wrong with a line."""

import re

BINARY = (
    (b"%PDF", "a PDF: no import reads it"),
    (b"SQLite format 3\x00", "an SQLite database: export its table as CSV"),
    (b"PAR1", "a Parquet file: export it as CSV or JSON lines"),
    (b"Obj\x01", "an Avro file: export it as JSON lines"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"PGDMP", "PostgreSQL's own dump: export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "a document of an office program: save the table as CSV"),
    (b"\x00\x00\x00\x00", "not text"),
)
SQL = re.compile(r"\s*(--[^\n]*\n\s*)*(/\*|(create|insert|drop|set|use|begin|start transaction)\s)", re.IGNORECASE)
TRACKING = re.compile(r"^[^{\n]*\[tracking\][^{\n]*\{", re.MULTILINE)
MULTIPART = re.compile(r"\s*--[^\s{}\"]+\s*\n\s*content-", re.IGNORECASE)
CALIPER = re.compile(r'"https?://purl\.imsglobal\.org/ctx/caliper')


def name_binary(head: bytes) -> str | None:
    """Names a format that is no text and no archive that is read; None for any other."""
    if not head:
        return "empty"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it, or import its files from a zip"
    return next((name for magic, name in BINARY if head.startswith(magic)), None)


def name_text(head: str) -> str | None:
    """Names a format of text that no import reads; None for any other."""
    start = head.lstrip().lower()
    if not start:
        return "empty"
    if start.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "an HTML page: was the export saved, or a page that asks to log in?"
    if start.startswith("<"):
        return "XML: no import reads it"
    if MULTIPART.match(head):
        return "a multipart answer of a record store: ask it without attachments, and import the JSON"
    if SQL.match(head) and not start.startswith(("--{", "set,")):
        return "SQL: run it, and export the table as CSV"
    return None


def name_lines(head: str) -> str:
    """Names what a text looks like, for the message of an import that wants something else."""
    start = head.lstrip("\ufeff \t\r\n\x1e")
    if CALIPER.search(head):
        return "a Caliper envelope: its events do not say which lessons are completed"
    if TRACKING.search(head):
        return "a tracking log of Open edX: use `import openedx`"
    if start.startswith(("{", "[")):
        if '"completion.block' in head or "edx.completion.block_completion" in head:
            return "events of Open edX: use `import openedx`"
        if '"verb"' in head and '"actor"' in head:
            return "xAPI statements: use `import xapi`"
        return "JSON"
    first = start.partition("\n")[0].lower()
    if "coursemoduleid" in first:
        return "Moodle's table of completions: use `import moodle`"
    if "block_key" in first:
        return "Open edX's table of completions: use `import openedx`"
    if any(first.count(mark) for mark in ",;\t"):
        return "a table: use `import csv`, with --columns for other names"
    return "text"
