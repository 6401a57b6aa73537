"""A log line shows a stranger's text with escapes, also on a terminal."""

import logging
from collections.abc import Iterator
from typing import Any

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


def log_line(log_format: str, logger: str, message: Any, *arguments: str) -> str:
    made = dict(logging_config(Settings(log_format=log_format))["formatters"]["one_line"])
    formatter = made.pop("()")(**made)
    record = logging.LogRecord(logger, logging.ERROR, "", 0, message, arguments, None)
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
