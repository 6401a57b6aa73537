"""Runs an import: reads all files into the spool, decides what they mean, and publishes it under stable ids."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from events import CourseAccessed, LessonCompleted, LessonEvent, LessonEventPublisher, LessonUncompleted, PublishFailed
from events.models import LessonWaived, LessonWaiverWithdrawn
from events.publisher import OutgoingEvent
from worker.errors import KafkaUnavailable
from worker.importers.identity import Identities, make_uuid
from worker.importers.opening import Part, open_parts
from worker.importers.records import Listed, Malformed, Outcome, Record, Skipped, is_text
from worker.importers.spool import Spool, Stored
from worker.importers.tally import Tally
from worker.importers.totals import CourseTotal
from worker.importers.xapi import Waiting
from worker.importers.xapi_resolve import count_unknown_voids, resolve
from worker.kafka.client import client_arguments
from worker.settings import Settings

BATCH = 2000
# Larger requests than a player's: nobody waits for a single event.
IN_BULK = {"max_batch_size": 1 << 18, "linger_ms": 5}
IMPORTED = "imported"  # the cause of what these events complete


class Reader(Protocol):
    """Reads the texts of one format. `warnings` are for the report."""

    warnings: list[str]

    def read(self, part: Part, file: int) -> Iterator[Outcome | Waiting]:
        """Yields what a text says. `file` is its number. Raises ProgressError for a text of another format."""
        ...


def read_files(paths: Sequence[str], reader: Reader, identities: Identities, spool: Spool, tally: Tally) -> None:
    """Reads files into the spool, and decides what they mean. Shows a bar on a terminal. Raises ProgressError."""
    sizes = [Path(path).stat().st_size if Path(path).is_file() else 0 for path in paths]
    with show_progress("reading", sum(sizes) if all(sizes) else None, DownloadColumn()) as advance:
        for path in paths:
            for part in open_parts(path, advance):
                tally.files.append(part.name)
                file = len(tally.files) - 1
                for place, outcome in enumerate(reader.read(part, file)):
                    _take(outcome, file, place, identities, spool, tally)
    spool.flush()
    if unknown := count_unknown_voids(spool):
        reader.warnings.append(
            f"{unknown:,} voided statements are not among what is imported: if an earlier import took one, "
            "take it back by an un-completion, or import both files together"
        )
    for file, outcome in resolve(spool):
        tally.note(outcome, file)


def _take(
    outcome: Outcome | Waiting, file: int, place: int, identities: Identities, spool: Spool, tally: Tally
) -> None:
    match outcome:
        case Record() as record:
            _add(record, None, file, identities, spool, tally)
        case Waiting(record, waits):
            _add(record, waits, file, identities, spool, tally)
        case Listed() as listed:
            spool.enlist(listed, place if listed.in_list else -1)
        case Malformed() | Skipped():
            tally.note(outcome, file)


def _add(record: Record, waits: str | None, file: int, identities: Identities, spool: Spool, tally: Tally) -> None:
    if not all(map(is_text, (record.learner.name, record.learner.home_page, record.course, record.id))):
        tally.note(Malformed(record.line, "an id is not UTF-8"), file)
        return
    try:
        user_id = identities.find(record.learner)
    except ValueError as error:
        tally.note(Malformed(record.line, str(error)), file)
        return
    if user_id is None:
        tally.note(Skipped("learner not in --users"), file)
    else:
        spool.add(record, user_id, file, waits)


async def publish(
    settings: Settings, spool: Spool, totals: Mapping[str, CourseTotal], source: str, tally: Tally
) -> None:
    """Publishes all records, each acknowledged when it returns. `tally.published` says at any time how many are.

    Ids and times are those of the files, so importing a file again changes nothing. Raises KafkaUnavailable.
    """
    count = spool.select("select count(*) from record")[0][0]
    arguments = {**client_arguments(settings), **IN_BULK, "topic": settings.lesson_events_topic, "source": source}
    events = (build_event(record, totals[record.course]) for record in spool.records())
    try:
        async with LessonEventPublisher(**arguments) as publisher:
            with show_progress("publishing", count, MofNCompleteColumn()) as advance:
                while batch := list(islice(events, BATCH)):
                    await publisher.publish_many(batch)
                    tally.published += len(batch)
                    advance(len(batch))
    except PublishFailed as error:
        raise KafkaUnavailable(
            f"{error} ({tally.published:,} events are published; run the import again to publish the rest)"
        ) from error


def build_event(record: Stored, total: CourseTotal) -> OutgoingEvent:
    """Builds the event of a record. It says a total only where that is no guess."""
    said = record.total if total.in_events == "own" else total.in_events
    who = {"user_id": record.user_id, "course_id": make_course_id(record.course), "lesson_id": record.lesson}
    event: LessonEvent
    if record.kind == "completed":
        event = LessonCompleted(**who, total_lessons=said)
    elif record.kind == "uncompleted":
        event = LessonUncompleted(**who, total_lessons=said)
    elif record.kind == "waived":
        event = LessonWaived(**who, reason=record.reason)
    elif record.kind == "withdrawn":
        event = LessonWaiverWithdrawn(**who, reason=record.reason)
    else:
        event = CourseAccessed(**who, total_lessons=said)
    return event, record.at, record.id, IMPORTED


make_course_id = lru_cache(maxsize=10_000)(make_uuid)


@contextmanager
def show_progress(
    doing: str, total: int | None, column: DownloadColumn | MofNCompleteColumn
) -> Iterator[Callable[[int], None]]:
    """Shows a bar on a terminal, on standard error, and yields the function that moves it on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), column, TimeRemainingColumn())
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda count: progress.update(task, advance=count)
