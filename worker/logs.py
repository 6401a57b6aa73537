"""Configures structured logs: one line per event on standard error, as JSON or for a terminal."""

import logging.config
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from events.producer import PublishFailed
from worker.errors import ProgressError
from worker.plain_text import escape, escape_lines
from worker.settings import Settings

# Libraries log warnings and errors only. mode logs the start and stop of services under their modules' names
# (`worker.…`, and `abc` for Faust's HTTP service); our own loggers have plain names.
QUIET = ("aiokafka", "faust", "mode", "asyncio", "worker", "abc")
DETAIL = re.compile(r"^DETAIL:.*$", re.MULTILINE)  # as asyncpg writes it


def logging_config(settings: Settings) -> dict[str, Any]:
    """Builds a `logging.config.dictConfig` for all loggers, and configures structlog's own."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_our_tracebacks,
        structlog.processors.format_exc_info,
        _drop_details,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer = [structlog.processors.JSONRenderer()] if as_json else [_escape_texts, structlog.dev.ConsoleRenderer()]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "one_line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            }
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "one_line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": settings.log_level},
        "loggers": {name: {"level": "WARNING"} for name in QUIET},
    }


def _drop_our_tracebacks(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops the traceback of our own errors, because their one line says what is wrong."""
    info = entry.get("exc_info")
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, (ProgressError, PublishFailed)):
        del entry["exc_info"]
    return entry


def _drop_details(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops what PostgreSQL quotes of a row in the text of an error: it may be the name of a learner."""
    if isinstance(text := entry.get("exception"), str):
        entry["exception"] = DETAIL.sub("DETAIL: not shown", text)
    return entry


def _escape_texts(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escapes what is not printable in texts for a terminal; JSON does so by itself. A traceback keeps its lines."""
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = escape_lines(value) if name in ("exception", "stack") else escape(value)
    return entry


def configure(settings: Settings) -> None:
    """Configures the logging of this process."""
    logging.config.dictConfig(logging_config(settings))
