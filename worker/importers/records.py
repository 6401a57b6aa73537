"""Defines what every reader yields: a record, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from pydantic import TypeAdapter, ValidationError

from events.models import EARLIEST, LessonId
from worker.importers.identity import Learner

Kind: TypeAlias = Literal["completed", "uncompleted", "accessed", "waived", "withdrawn"]
AHEAD = timedelta(minutes=5)  # of our clock: what a worker would date anew (docs/rules.md)
MICROSECOND = timedelta(microseconds=1)
LESSON_ID = TypeAdapter(LessonId)
ANY_TIME = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Says why a place of a file is no record."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Says why a record of the file does not concern progress."""

    reason: str


class Record(NamedTuple):
    """Holds what a learner did, as the file says it: course and lesson have their ids there."""

    kind: Kind
    learner: Learner
    course: str
    lesson: str | None
    at: datetime  # aware
    id: str
    line: int
    total: int | None = None  # how many lessons the course has, where the file says so
    course_title: str | None = None
    lesson_title: str | None = None
    section: str | None = None
    reason: str | None = None  # of a waiver


class Listed(NamedTuple):
    """Names a lesson that a course has. `in_list`: a list of all its lessons says so, in their order."""

    course: str
    lesson: str
    course_title: str | None = None
    lesson_title: str | None = None
    section: str | None = None
    in_list: bool = True


Outcome: TypeAlias = Record | Listed | Malformed | Skipped
Report: TypeAlias = Callable[[str], None]


class Unreadable(ValueError):
    """Says why a value of the file cannot be used. A reader makes a Malformed of it."""


def read_time(value: object, *, naive_is_utc: bool = False) -> datetime:
    """Reads a time: ISO 8601 or seconds or milliseconds since 1970, not before 2000 and not in the future.

    Raises Unreadable.
    """
    try:
        found = ANY_TIME.validate_python(value)
    except ValidationError:
        found = _read_other_form(value)
    if found.tzinfo is None:
        if not naive_is_utc:
            raise Unreadable(f"time: {value!r} has no offset from UTC")
        found = found.replace(tzinfo=UTC)
    try:
        instant = found.astimezone(UTC)
    except OverflowError:
        raise Unreadable(f"time: {value!r} is not in the calendar") from None
    if instant < EARLIEST:
        raise Unreadable(f"time: {value!r} is before 2000, so from a broken clock")
    if instant > datetime.now(UTC) + AHEAD:
        raise Unreadable(f"time: {value!r} is in the future, so from a broken clock")
    return found


def _read_other_form(value: object) -> datetime:
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise Unreadable(f"time: {value!r} is no time" if value else "time: missing") from None


def read_lesson(value: object) -> str:
    """Reads the id of a lesson, in Unicode's form NFC. Raises Unreadable."""
    try:
        return LESSON_ID.validate_python(value)
    except ValidationError as error:
        raise Unreadable(f"lesson: {error.errors()[0]['msg']}") from None


def is_text(text: str | None) -> bool:
    """Tells whether a text can be written as UTF-8: not with bytes that were none, or half a character."""
    try:
        return text is None or text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def make_id(*parts: object) -> str:
    """Makes the id of an event from what tells it apart: the same parts give the same id."""
    return str(uuid5(NAMESPACE_URL, " ".join(map(str, parts)).encode("utf-8", "replace").decode()))
