"""xAPI statements, one per line as learning record stores export them, become lesson events."""

import gzip
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError
from rich.console import Console
from rich.progress import wrap_file

from events import CourseAccessed, LessonCompleted, LessonEvent, LessonEventPublisher, PublishFailed
from events.models import LessonId
from worker.errors import KafkaUnavailable, ProgressError
from worker.kafka.client import client_arguments
from worker.settings import Settings

COMPLETED = "completed"
ACCESSED = {"initialized", "played", "paused", "seeked", "interacted", "terminated"}
GZIP = b"\x1f\x8b"
BATCH = 1000
MALFORMED_SHOWN = 20

Text = Annotated[str, Field(min_length=1)]


class Thing(BaseModel):
    id: Text


class Lesson(BaseModel):
    id: LessonId


class Account(BaseModel):
    name: Text


class Actor(BaseModel):
    account: Account


class Activities(BaseModel):
    # xAPI 1.0 also allows one activity without the array.
    parent: Annotated[list[Thing], Field(min_length=1), BeforeValidator(lambda v: v if isinstance(v, list) else [v])]


class Context(BaseModel):
    activities: Activities = Field(alias="contextActivities")


class Spoken(BaseModel):
    """What every statement must have."""

    verb: Thing

    @property
    def verb_name(self) -> str:
        return self.verb.id.rstrip("/").rpartition("/")[-1]


class Statement(Spoken):
    """A statement that is imported, as far as it is read."""

    id: Text
    actor: Actor
    object: Lesson
    context: Context
    timestamp: AwareDatetime

    @property
    def user_id(self) -> UUID:
        """The account's name if it is a UUID, else its UUIDv5."""
        try:
            return UUID(self.actor.account.name)
        except ValueError:
            return uuid5(NAMESPACE_URL, self.actor.account.name)

    @property
    def course_id(self) -> UUID:
        return uuid5(NAMESPACE_URL, self.context.activities.parent[0].id)


class Imported(NamedTuple):
    """What LessonEventPublisher.publish_many takes."""

    event: LessonEvent
    occurred_at: datetime
    event_id: str


@dataclass(frozen=True)
class Skipped:
    """A statement whose verb says nothing about progress."""

    verb: str


@dataclass(frozen=True)
class Malformed:
    """A line that is no statement, or one that lacks what an event needs."""

    reason: str


def statement_of(line: bytes) -> Statement | Skipped | Malformed:
    """What one line says. Pure; never raises."""
    try:
        verb = Spoken.model_validate_json(line).verb_name
        return Statement.model_validate_json(line) if verb == COMPLETED or verb in ACCESSED else Skipped(verb)
    except ValidationError as error:
        return Malformed(_first_problem(error))


def event_of(statement: Statement, totals: Mapping[UUID, int]) -> Imported | Malformed:
    """The event that a statement stands for; `totals` has the lessons of each course. Pure; never raises."""
    data = {"user_id": statement.user_id, "course_id": statement.course_id, "lesson_id": statement.object.id}
    try:
        if statement.verb_name == COMPLETED:
            event: LessonEvent = LessonCompleted(**data, total_lessons=totals[statement.course_id])
        else:
            event = CourseAccessed(**data)
    except ValidationError as error:
        return Malformed(_first_problem(error))
    return Imported(event, statement.timestamp, statement.id)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join([*filter(None, [".".join(map(str, problem["loc"]))]), problem["msg"]])


@dataclass
class Count:
    """What became of the lines of a file."""

    published: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    malformed: int = 0


async def import_file(settings: Settings, path: Path, total_lessons: int | None, say: Callable[[str], None]) -> Count:
    """Publishes the file's events, all acknowledged when it returns; `say` hears of malformed lines.

    The events have the statements' ids and times, so importing a file again changes nothing. Raises ProgressError for
    a file that cannot be read, KafkaUnavailable with the number of events published.
    """
    totals = defaultdict(lambda: total_lessons) if total_lessons else lessons_per_course(path)
    count = Count()
    topic = settings.lesson_events_topic
    try:
        async with LessonEventPublisher(**client_arguments(settings), topic=topic, source="xapi") as publisher:
            events = events_in(path, totals, count, say)
            while batch := list(islice(events, BATCH)):
                await publisher.publish_many(batch)
                count.published += len(batch)
    except PublishFailed as error:
        raise KafkaUnavailable(f"{error} ({count.published:,} events published; run it again to complete)") from error
    return count


def lessons_per_course(path: Path) -> dict[UUID, int]:
    """The number of distinct lessons that the file's statements name, by course."""
    lessons: dict[UUID, set[str]] = defaultdict(set)
    with lines_of(path, "counting lessons") as lines:
        for _, line in lines:
            statement = statement_of(line)
            if isinstance(statement, Statement):
                lessons[statement.course_id].add(statement.object.id)
    return {course_id: len(ids) for course_id, ids in lessons.items()}


def events_in(path: Path, totals: Mapping[UUID, int], count: Count, say: Callable[[str], None]) -> Iterator[Imported]:
    """The file's events one after the other. Counts what is not an event."""
    with lines_of(path, "publishing") as lines:
        for number, line in lines:
            statement = statement_of(line)
            match event_of(statement, totals) if isinstance(statement, Statement) else statement:
                case Imported() as event:
                    yield event
                case Skipped(verb):
                    count.skipped[verb] += 1
                case Malformed(reason):
                    count.malformed += 1
                    if count.malformed <= MALFORMED_SHOWN:
                        say(f"line {number}: {reason}")


@contextmanager
def lines_of(path: Path, doing: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The numbered lines of a file, gzip or not, with a progress bar on a terminal. Raises ProgressError."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            size, console = path.stat().st_size, Console(stderr=True)
            hidden = not sys.stderr.isatty()
            with wrap_file(raw, size, description=doing, console=console, transient=True, disable=hidden) as read:
                lines = gzip.GzipFile(fileobj=read) if zipped else read
                yield ((number, line) for number, line in enumerate(lines, start=1) if not line.isspace())
    except (OSError, EOFError, zlib.error) as error:
        raise ProgressError(f"{path} cannot be read: {error}") from error
