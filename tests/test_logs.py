"""A log line shows a stranger's text with escapes, also on a terminal."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from worker.logs import logging_config
from worker.settings import Settings

EVIL = "\x1b[31mred\x9b2J\u202e\rfaked"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def log_line(log_format: str, logger: str, message: Any, *arguments: str, exc_info: Any = None) -> str:
    made = dict(logging_config(Settings(log_format=log_format))["formatters"]["one_line"])
    formatter = made.pop("()")(**made)
    record = logging.LogRecord(logger, logging.ERROR, "", 0, message, arguments, exc_info)
    if isinstance(message, dict):  # as structlog's own loggers make it
        record.__dict__ |= {"_logger": logging.getLogger(logger), "_name": "error"}
    line: str = formatter.format(record)
    return line


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize(
    ("message", "arguments"),
    [("refused: %s", (EVIL,)), ({"event": "refused", "reason": EVIL, "many": [EVIL], "error": ValueError(EVIL)}, ())],
    ids=["of a library", "of ours"],
)
def test_a_log_line_is_printable(log_format: str, message: Any, arguments: tuple[str, ...]) -> None:
    line = log_line(log_format, "library", message, *arguments)

    assert "faked" in line
    assert "\x1b[31mred" not in line
    assert line.replace("\x1b[", "").isprintable()  # the console's own colours


def test_a_traceback_keeps_its_lines() -> None:
    line = log_line("console", "ours", {"event": "failed", "exception": f"Traceback\n  {EVIL}"})

    assert "Traceback\n  \\x1b[31mred" in line


def test_a_traceback_does_not_quote_the_row_that_postgresql_refused() -> None:
    error = asyncpg.CheckViolationError("a row violates a check")
    error.detail = "Failing row contains (1, Zuleikha Quisling, zuleikha@mail.example)."
    try:
        raise error
    except asyncpg.CheckViolationError:
        line = log_line("json", "library", "failed", exc_info=sys.exc_info())

    assert "a row violates a check" in line
    assert "Traceback" in line
    assert "uleikha" not in line
