"""Turns xAPI statements, one per line as learning record stores export them, into lesson events."""

import gzip
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError
from rich.console import Console
from rich.progress import wrap_file

from events import CourseAccessed, LessonCompleted, LessonEvent, LessonEventPublisher, PublishFailed
from events.models import LessonId
from worker.errors import KafkaUnavailable, ProgressError
from worker.kafka.client import client_arguments
from worker.plain_text import escape
from worker.settings import Settings

COMPLETED = "completed"
ACCESSED = {"initialized", "played", "paused", "seeked", "interacted", "terminated"}
GZIP = b"\x1f\x8b"
BATCH = 1000
IMPORTED = "imported"  # the cause of what these events complete
MALFORMED_REPORTED = 20
LONGEST_LINE = 1 << 20  # bytes, which is as long as the largest event
VERBS_COUNTED = 1000  # different ones; all others count together
VERBS_SHOWN = 10
LONGEST_NAME = 100  # characters of a verb

Text = Annotated[str, Field(min_length=1)]


class Reference(BaseModel):
    """Reads the id of a verb or an activity."""

    id: Text


class Lesson(BaseModel):
    id: LessonId


class Account(BaseModel):
    name: Text


class Actor(BaseModel):
    account: Account


class Activities(BaseModel):
    # xAPI 1.0 also allows one activity without the array.
    parent: Annotated[
        list[Reference], Field(min_length=1), BeforeValidator(lambda v: v if isinstance(v, list) else [v])
    ]


class Context(BaseModel):
    activities: Activities = Field(alias="contextActivities")


class AnyStatement(BaseModel):
    """Reads the verb, which every statement must have."""

    verb: Reference

    @property
    def verb_name(self) -> str:
        return self.verb.id.rstrip("/").rpartition("/")[-1]


class Statement(AnyStatement):
    """Reads the fields that an event needs, of a statement that is imported."""

    id: Text
    actor: Actor
    object: Lesson
    context: Context
    timestamp: AwareDatetime

    @property
    def user_id(self) -> UUID:
        """Returns the account's name if it is a UUID, else the name's UUIDv5."""
        try:
            return UUID(self.actor.account.name)
        except ValueError:
            return uuid5(NAMESPACE_URL, self.actor.account.name)

    @property
    def course_id(self) -> UUID:
        """Returns the UUIDv5 of the first parent activity's id."""
        return uuid5(NAMESPACE_URL, self.context.activities.parent[0].id)


class ImportedEvent(NamedTuple):
    """Holds an event as LessonEventPublisher.publish_many takes it."""

    event: LessonEvent
    occurred_at: datetime
    event_id: str


@dataclass(frozen=True)
class SkippedStatement:
    """Marks a statement whose verb does not concern progress."""

    verb: str


@dataclass(frozen=True)
class MalformedLine:
    """Marks a line that is not a statement, or a statement that lacks a field that an event needs."""

    reason: str


def read_statement(line: bytes) -> Statement | SkippedStatement | MalformedLine:
    """Reads the statement of one line. Pure; never raises."""
    try:
        verb = AnyStatement.model_validate_json(line).verb_name
        return Statement.model_validate_json(line) if verb == COMPLETED or verb in ACCESSED else SkippedStatement(verb)
    except ValidationError as error:
        return MalformedLine(_explain_first_problem(error))


def build_event(statement: Statement, totals: Mapping[UUID, int]) -> ImportedEvent | MalformedLine:
    """Builds the event of a statement; `totals` has each course's number of lessons. Pure; never raises."""
    data = {"user_id": statement.user_id, "course_id": statement.course_id, "lesson_id": statement.object.id}
    try:
        if statement.verb_name == COMPLETED:
            event: LessonEvent = LessonCompleted(**data, total_lessons=totals[statement.course_id])
        else:
            event = CourseAccessed(**data)
    except ValidationError as error:
        return MalformedLine(_explain_first_problem(error))
    return ImportedEvent(event, statement.timestamp, statement.id)


def _explain_first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join([*filter(None, [".".join(map(str, problem["loc"]))]), problem["msg"]])


@dataclass
class ImportCounts:
    """Counts the lines of a file by their outcome."""

    published: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_others: int = 0  # with a verb that is not among the first VERBS_COUNTED
    malformed: int = 0

    def skip(self, verb: str) -> None:
        """Counts a statement that is skipped; keeps at most LONGEST_NAME characters of its verb."""
        name = verb if len(verb) <= LONGEST_NAME else f"{verb[:LONGEST_NAME]}…"
        if name in self.skipped or len(self.skipped) < VERBS_COUNTED:
            self.skipped[name] += 1
        else:
            self.skipped_others += 1

    def format(self) -> str:
        """Formats the counts on one line, with the VERBS_SHOWN verbs that were skipped most."""
        shown = self.skipped.most_common(VERBS_SHOWN)
        more = self.skipped.total() + self.skipped_others - sum(times for _, times in shown)
        parts = [f"{escape(verb)} {times:,}" for verb, times in shown] + [f"and {more:,} with other verbs"] * (more > 0)
        skipped = ", ".join(parts) or "none"
        return f"published {self.published:,}; skipped: {skipped}; malformed lines: {self.malformed:,}"


async def import_file(
    settings: Settings, path: Path, total_lessons: int | None, report: Callable[[str], None]
) -> ImportCounts:
    """Publishes the file's events, all acknowledged when it returns. `report` receives a text per malformed line.

    Without `total_lessons` a course has as many lessons as the file names for it. The events have the statements' ids
    and times, so importing a file again changes nothing. Raises ProgressError for a file that cannot be read, and
    KafkaUnavailable with the number of published events.
    """
    totals = defaultdict(lambda: total_lessons) if total_lessons else count_lessons(path)
    count = ImportCounts()
    topic = settings.lesson_events_topic
    try:
        async with LessonEventPublisher(**client_arguments(settings), topic=topic, source="xapi") as publisher:
            events = read_events(path, totals, count, report)
            while batch := list(islice(events, BATCH)):
                await publisher.publish_many((*event, IMPORTED) for event in batch)
                count.published += len(batch)
    except PublishFailed as error:
        raise KafkaUnavailable(
            f"{error} ({count.published:,} events are published; run the import again to publish the rest)"
        ) from error
    return count


def count_lessons(path: Path) -> dict[UUID, int]:
    """Counts the distinct lessons that the file's statements name, by course."""
    lessons: dict[UUID, set[str]] = defaultdict(set)
    with read_lines(path, "counting lessons") as lines:
        for _, line in lines:
            statement = read_statement(line)
            if isinstance(statement, Statement):
                lessons[statement.course_id].add(statement.object.id)
    return {course_id: len(ids) for course_id, ids in lessons.items()}


def read_events(
    path: Path, totals: Mapping[UUID, int], count: ImportCounts, report: Callable[[str], None]
) -> Iterator[ImportedEvent]:
    """Reads the file's events one after the other, and counts the lines that are not events."""
    with read_lines(path, "publishing") as lines:
        for number, line in lines:
            statement = read_statement(line)
            match build_event(statement, totals) if isinstance(statement, Statement) else statement:
                case ImportedEvent() as event:
                    yield event
                case SkippedStatement(verb):
                    count.skip(verb)
                case MalformedLine(reason):
                    count.malformed += 1
                    if count.malformed <= MALFORMED_REPORTED:
                        report(escape(f"line {number}: {reason}"))


@contextmanager
def read_lines(path: Path, doing: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Opens a file, gzip or not, and reads its numbered lines. Shows a bar on a terminal.

    Raises ProgressError for a file that cannot be read, and for a line of more than LONGEST_LINE bytes, of which it
    never holds more.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            size, console = path.stat().st_size, Console(stderr=True)
            hidden = not sys.stderr.isatty()
            with wrap_file(raw, size, description=doing, console=console, transient=True, disable=hidden) as read:
                yield _number_lines(gzip.GzipFile(fileobj=read) if zipped else read, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ProgressError(f"{path} cannot be read: {error}") from error


def _number_lines(file: BinaryIO | gzip.GzipFile, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the lines that are not empty, with their numbers."""
    lines = iter(partial(file.readline, LONGEST_LINE + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise ProgressError(
                f"{path} cannot be read: line {number:,} has more than {LONGEST_LINE:,} bytes. "
                "Is everything on a line of its own?"
            )
        if not line.isspace():
            yield number, line
