"""Compares what the system made of a load with what it must be: every row, completion and dead letter."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer

from events.envelope import data_of, read
from events.models import (
    COURSE_EVENTS,
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    LessonCompleted,
    ProgressReset,
    course_event_id,
    milestone_event_id,
)
from events.producer import OutgoingRecord
from tests.catalogs import expect_standings, find_wrong_standings, read_standings
from tests.faults.load import Happened, Load, Origin
from worker.deadletters.headers import OFFSET, PARTITION, TOPIC, VALUE_SHA256, own_headers
from worker.deadletters.letter import read_entry
from worker.demo.comparison import COMPLETIONS, Completions, list_expected_events, name_event
from worker.kafka.inflation import LARGEST_BATCH
from worker.progress.fold import CourseKey
from worker.progress.reference import ProgressRow, expect_rows, find_wrong_rows, read_rows
from worker.progress.version_reference import Standing
from worker.stream.cut_record import KEPT_HEADERS, KEPT_KEY, KEPT_VALUE, LARGEST_RECORD, Parts, measure
from worker.stream.outcome import Record

LessonKey: TypeAlias = tuple[UUID, UUID, str]
State: TypeAlias = tuple[datetime, bool]  # changed_at, completed

# Offsets only go forward: a stale batch must be refused, even where applying it again would change no row. A worker
# moves one back where the leader has changed, and writes the new leader's epoch with it.
AUDIT = """
create table offsets_gone_back (topic text, partition integer, from_offset bigint, to_offset bigint);
create function note_offset_gone_back() returns trigger language plpgsql as $$
begin
    insert into offsets_gone_back values (old.topic, old.partition, old.next_offset, new.next_offset);
    return new;
end $$;
create trigger offsets_only_go_forward after update on consumed_offset for each row
    when (new.next_offset <= old.next_offset and coalesce(new.leader_epoch, -1) <= coalesce(old.leader_epoch, -1))
    execute function note_offset_gone_back();
grant insert on offsets_gone_back to public;
"""


@dataclass
class Differences:
    """Holds one line of text per difference, by column of the table."""

    lost: list[str] = field(default_factory=list)
    wrong_rows: list[str] = field(default_factory=list)
    completions_missed: list[str] = field(default_factory=list)
    dead_letters_missing: list[str] = field(default_factory=list)
    published_twice: int = 0  # ids, which is allowed

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.wrong_rows, *self.completions_missed, *self.dead_letters_missing]


async def compare(
    connection: asyncpg.Connection, load: Load, course_events: list[Record], dead_letters: list[Record]
) -> Differences:
    """Compares everything when the scene is at rest."""
    happened = [happened for _, happened in load.good]
    standings = expect_standings(happened, load.versions)
    rows = judge_rows(expect_rows(happened), standings)
    resets = latest_resets(happened)
    lessons = {
        (row["user_id"], row["course_id"], row["lesson_id"]): (row["changed_at"], row["completed"])
        for row in await connection.fetch("select * from lesson_progress")
    }
    kept = await read_rows(connection)
    judged = await read_standings(connection, {version.course_id for version, _ in load.versions})
    if load.of_two_releases:
        rows, kept = forget_last_lessons(rows), forget_last_lessons(kept)
    gone_back = await connection.fetch("select * from offsets_gone_back")
    found = Differences(
        lost=find_lost(happened, lessons, await read_times(connection)),
        wrong_rows=[
            *find_wrong_rows(rows, kept),
            *find_wrong_standings(standings, judged, load.versions),
            *find_differing_lessons(expected_lessons(happened, resets), lessons),
            *(needless_dead_letters(load.good, dead_letters) if not load.recreated else []),
            *(f"stored offset went back: {dict(row)}" for row in gone_back),
        ],
        dead_letters_missing=missing_dead_letters(load.bad, dead_letters),
    )
    users = [user for user, _ in rows.keys() | resets]
    completions = [Completions(*row) for row in await connection.fetch(COMPLETIONS, users)]
    complete = {key for key, row in rows.items() if row.complete}
    compare_announcements(found, completions, complete, course_events, load)
    if not load.of_two_releases:
        compare_milestones(found, rows, resets, course_events)
    return found


def judge_rows(
    rows: Mapping[CourseKey, ProgressRow], standings: Mapping[CourseKey, Standing]
) -> dict[CourseKey, ProgressRow]:
    """Puts what versions of courses say in the place of what totals say (rules 8 to 11)."""
    return {key: judge_row(row, standings[key]) if key in standings else row for key, row in rows.items()}


def judge_row(row: ProgressRow, standing: Standing) -> ProgressRow:
    met, needed, complete = standing.lessons_completed, standing.total_lessons, standing.completed_at is not None
    nearest = (200 * met + needed) // (2 * needed)  # rule 3
    return row._replace(
        lessons_completed=met,
        total_lessons=needed,
        progress_percentage=100 if complete else min(99, nearest),
        complete=complete,
    )


def forget_last_lessons(rows: Mapping[CourseKey, ProgressRow]) -> dict[CourseKey, ProgressRow]:
    """Leaves out the lesson to resume at, which releases understand differently."""
    return {key: row._replace(last_lesson_id=None) for key, row in rows.items()}


def latest_resets(happened: Iterable[Happened]) -> dict[CourseKey, datetime]:
    resets: dict[CourseKey, datetime] = {}
    for event, at in happened:
        if isinstance(event, ProgressReset):
            key = (event.user_id, event.course_id)
            resets[key] = max(resets.get(key, at), at)
    return resets


def expected_lessons(happened: Iterable[Happened], resets: Mapping[CourseKey, datetime]) -> dict[LessonKey, State]:
    """Returns the latest event of each lesson that counts (rules 1 and 6)."""
    lessons: dict[LessonKey, State] = {}
    for event, at in happened:
        reset = resets.get((event.user_id, event.course_id))
        if isinstance(event, CourseAccessed | ProgressReset) or (reset and at <= reset):
            continue
        key, state = (event.user_id, event.course_id, event.lesson_id), (at, isinstance(event, LessonCompleted))
        lessons[key] = max(lessons.get(key, state), state)
    return lessons


def find_differing_lessons(wanted: Mapping[LessonKey, State], found: Mapping[LessonKey, State]) -> list[str]:
    keys = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
    return [f"{key}: wanted {wanted.get(key)}, found {found.get(key)}" for key in keys]


async def read_times(connection: asyncpg.Connection) -> dict[CourseKey, tuple[datetime | None, datetime | None]]:
    """Reads last_accessed_at and reset_at of each progress row, visible or not."""
    rows = await connection.fetch("select user_id, course_id, last_accessed_at, reset_at from course_progress_all")
    return {(row["user_id"], row["course_id"]): (row["last_accessed_at"], row["reset_at"]) for row in rows}


def find_lost(
    happened: Iterable[Happened],
    lessons: Mapping[LessonKey, State],
    times: Mapping[CourseKey, tuple[datetime | None, datetime | None]],
) -> list[str]:
    """Returns a line per event whose row reflects neither it nor anything later."""
    missing = []
    for event, at in happened:
        key = (event.user_id, event.course_id)
        known, reset_at = times.get(key, (None, None))
        if isinstance(event, ProgressReset):
            known = None
        elif not isinstance(event, CourseAccessed):
            known = lessons.get((*key, event.lesson_id), (None, False))[0]
        if not any(at <= time for time in (known, reset_at) if time):
            missing.append(f"lost: {event!r} at {at}")
    return missing


def missing_dead_letters(bad: Iterable[tuple[Origin, OutgoingRecord]], found: Iterable[Record]) -> list[str]:
    """Returns a line per bad record that is not a dead letter, or was changed.

    A letter has its record byte for byte, up to LARGEST_RECORD; of a larger one it has the beginning and the digest,
    of one that is never inflated the position.
    """
    letters: dict[Origin, list[Record]] = defaultdict(list)
    for letter in found:
        letters[origin_of(letter)].append(letter)
    changes = {origin: [find_changes(keep(sent), letter) for letter in letters[origin]] for origin, sent in bad}
    return [
        f"bad, and {f'its dead letter has another {min(changed)}' if changed else 'not a dead letter'}: {origin}"
        for origin, changed in changes.items()
        if all(changed)
    ]


class Kept(NamedTuple):
    """Holds what a dead letter must have of its record."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    digest: bytes | None
    timestamp_ms: int | None  # None: any


def keep(sent: OutgoingRecord) -> Kept:
    """Returns what a dead letter must have of this record, which is alone in its batch where it is a large one."""
    size = measure(sent)
    if size <= LARGEST_RECORD:
        return Kept(sent.key, sent.value, sent.headers, None, sent.timestamp_ms)
    if size > LARGEST_BATCH:
        return Kept(None, b"", [], None, sent.timestamp_ms)
    cut = Parts(sent.value, sent.key, list(sent.headers)).cut(KEPT_VALUE, KEPT_KEY, KEPT_HEADERS)
    digest = sha256(sent.value or b"").hexdigest().encode()
    return Kept(cut.key, cut.value, cut.headers, digest, sent.timestamp_ms)


def find_changes(kept: Kept, letter: Record) -> str:
    """Names what a dead letter has otherwise than it must; empty: nothing."""
    same = {
        "key": letter.key == kept.key,
        "value": letter.value == kept.value,
        "headers": own_headers(letter.headers) == own_headers(kept.headers),  # those named as ours are replaced
        "digest": dict(letter.headers).get(VALUE_SHA256) == kept.digest,
        "timestamp": kept.timestamp_ms in (None, read_entry(letter).record.timestamp),
    }
    return ", ".join(name for name, is_same in same.items() if not is_same)


def needless_dead_letters(good: Iterable[tuple[Origin, Happened]], found: Iterable[Record]) -> list[str]:
    """Returns a line per good event that is a dead letter."""
    letters = {origin_of(letter) for letter in found}
    return [f"good, and a dead letter: {origin}" for origin, _ in good if origin in letters]


def origin_of(letter: Record) -> Origin:
    headers = dict(letter.headers)
    return headers[TOPIC].decode(), int(headers[PARTITION]), int(headers[OFFSET])


def compare_announcements(
    found: Differences, rows: list[Completions], complete: set[CourseKey], course_events: list[Record], load: Load
) -> None:
    """Compares the published course events with the rows' numbers and with the model's complete courses.

    The last news of each learner and course must be what the row says, in the order of the log and of the numbers.
    Where commits were lost, and only there, transitions may have been published that are not among the rows' numbers.
    """
    # Those of certificates are compared with certificates, and milestones with percentages.
    course_events = [record for record in course_events if dict(record.headers)["ce_type"].startswith(b"Course")]
    ids = [UUID(dict(record.headers)["ce_id"].decode()) for record in course_events]
    found.published_twice = sum(number > 1 for number in Counter(ids).values())
    events: dict[UUID, CourseEvent] = {}  # as a subscriber takes them that knows their ids: the first copy of each
    for id, record in zip(ids, course_events, strict=True):
        events.setdefault(id, read_event(record))
    if not load.of_two_releases:
        found.wrong_rows += [f"published under {id}: {event!r}" for id, event in events.items() if id != id_of(event)]
    if not load.commits_lost:
        compare_transitions(found, rows, events.values())
    highest = find_highest(events.values())
    for order, news in (("in the log", find_last(events.values())), ("by number", highest)):
        done = {key for key, event in news.items() if isinstance(event, CourseCompleted)}
        found.completions_missed += [f"complete, and not its last news {order}: {key}" for key in complete - done]
        found.completions_missed += [f"not complete, and its last news {order}: {key}" for key in done - complete]
    numbers = {key: event.completion_number for key, event in highest.items()}
    missed = [row for row in rows if numbers.get((row.user_id, row.course_id)) != row.number]
    found.completions_missed += [f"the last number that was published is not the row's: {row}" for row in missed]


def compare_milestones(
    found: Differences,
    rows: Mapping[CourseKey, ProgressRow],
    resets: Mapping[CourseKey, datetime],
    events: list[Record],
) -> None:
    """Compares the published milestones with the rows: whatever one has reached is announced, each under its id."""
    told = {}
    for record in events:
        if dict(record.headers)["ce_type"] == b"ProgressMilestoneReached":
            told[UUID(dict(record.headers)["ce_id"].decode())] = read_event(record)
    ids = {id: milestone_event_id(e.user_id, e.course_id, e.milestone, e.run) for id, e in told.items()}
    found.wrong_rows += [f"published under {id}: {told[id]!r}" for id, wanted in ids.items() if id != wanted]
    found.completions_missed += [
        f"not published: {milestone} % of {key}"
        for key, row in rows.items()
        for milestone in (25, 50, 75)
        if row.progress_percentage >= milestone and milestone_event_id(*key, milestone, resets.get(key)) not in told
    ]


def compare_transitions(found: Differences, rows: Iterable[Completions], events: Collection[CourseEvent]) -> None:
    """Compares the transitions that were published, each under one id and in order, with those of the rows' numbers."""
    happened, names = list_expected_events(rows), Counter(map(name_event, events))
    found.completions_missed += [f"not published: {what}" for name, what in happened.items() if name not in names]
    found.wrong_rows += [f"published, and never happened: {name}" for name in names.keys() - happened.keys()]
    found.wrong_rows += [f"published under {number} ids: {name}" for name, number in names.items() if number > 1]
    found.completions_missed += find_disorder(events)


def read_event(record: Record) -> CourseEvent:
    return data_of(read(record.value, record.headers), COURSE_EVENTS)


def id_of(event: CourseEvent) -> UUID:
    """Computes the id that an event with this content must have."""
    at = event.completed_at if isinstance(event, CourseCompleted) else event.revoked_at
    return course_event_id(type(event).__name__, event.user_id, event.course_id, event.completion_number, at)


def find_last(events: Iterable[CourseEvent]) -> dict[CourseKey, CourseEvent]:
    """Returns the event of each course that was published last. One partition has all of a learner's."""
    return {(event.user_id, event.course_id): event for event in events}


def find_highest(events: Iterable[CourseEvent]) -> dict[CourseKey, CourseEvent]:
    """Returns the event of each course with the highest number."""
    return find_last(sorted(events, key=rank))


def find_disorder(events: Iterable[CourseEvent]) -> list[str]:
    """Returns a line per event that was published after a later one of its course."""
    highest: dict[CourseKey, CourseEvent] = {}
    late = []
    for event in events:
        key = (event.user_id, event.course_id)
        if rank(event) < rank(highest.setdefault(key, event)):
            late.append(f"published after {name_event(highest[key])}: {name_event(event)}")
        else:
            highest[key] = event
    return late


def rank(event: CourseEvent) -> tuple[int, bool]:
    """Orders the events of a course: a revocation follows the completion of its number."""
    return event.completion_number, isinstance(event, CourseCompletionRevoked)


async def records_of(servers: str, topic: str) -> list[Record]:
    """Returns all records that a topic holds now."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        await consumer.seek_to_beginning()
        records: list[Record] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records += found
        return records
    finally:
        await consumer.stop()
