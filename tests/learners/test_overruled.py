"""Events that something later leaves without effect, by the rows that real batches leave."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from tests.databases import NOON, Database
from worker.learners.overruled import Sent, find_overruled
from worker.learners.reads import ProgressReader
from worker.postgres.pool import connect_pool
from worker.progress.store import Store
from worker.settings import Settings

USER, COURSE, OTHER = uuid4(), uuid4(), uuid4()


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    store = Store(database_settings)
    yield Database(store, connection)
    await store.close()


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


def build(text: str, course: UUID = COURSE) -> Sent:
    """Builds an event from its kind, its minute and its lesson: `C10a` completes lesson a ten minutes past twelve."""
    kind, minute, lesson = text[0], int(text[1:3]), text[3:] or None
    ids = {"user_id": USER, "course_id": course}
    event: LessonEvent
    match kind:
        case "C":
            event = LessonCompleted(**ids, lesson_id=lesson, total_lessons=9)
        case "U":
            event = LessonUncompleted(**ids, lesson_id=lesson, total_lessons=9)
        case "A":
            event = CourseAccessed(**ids, lesson_id=lesson)
        case _:
            event = ProgressReset(**ids)
    return event, NOON + timedelta(minutes=minute)


# What was known, what a batch says, and for which of its events something later was known: x. Equal letters are events
# of one lesson; C completes it, U takes it back, A opens the course, R resets it.
CASES = [
    ("", "C10a", "."),
    ("C10a", "C10a", "."),
    ("C10a", "C20a", "."),
    ("C10a", "C05a", "."),  # it moves the date
    ("C10a C30a", "C20a", "x"),
    ("U10a", "C05a", "x"),
    ("U10a", "C10a", "."),  # at the same instant, completed wins
    ("U10a", "C05b", "."),
    ("C10a", "U05a", "x"),
    ("C10a", "U10a", "x"),
    ("C10a", "U20a", "."),
    ("U10a", "U05a", "x"),
    ("U10a", "U10a", "."),
    ("C05a U10a C15a", "C07a", "x"),
    ("A10", "A05", "x"),
    ("A10", "A05a", "x"),
    ("A10", "A10", "."),
    ("A10", "A20", "."),
    ("C10a", "A05", "x"),
    ("R10", "C05a", "x"),
    ("R10", "C10a", "x"),
    ("R10", "U05a", "x"),
    ("R10", "A05", "x"),
    ("R10", "C05a C20b", "x."),
    ("R10", "C20a", "."),
    ("R10 C20b", "C05a", "x"),
    ("R10 C20b", "R05", "x"),
    ("C10a", "R20", "."),
    ("C10a", "R05", "x"),  # all that is known is later
    ("C02a C10b", "R05", "."),  # it removes a
    # What the batch itself says later has had its turn, if it is behind.
    ("", "C10a U20a", ".."),
    ("", "U20a C10a", ".x"),
    ("", "C20a U10a", ".x"),
    ("", "C10a U20a C30a", "..."),
    ("", "A10 C20a", ".."),
    ("", "C20a A10", ".x"),
    ("", "C10a R20", ".."),
    ("", "R20 C10a", ".x"),
    ("", "R10 C20a", ".."),
    ("", "C20a R10", ".x"),
    ("", "R10 C20a U30a R40", "...."),
    ("", "C05a R10 C20b", "..."),
    ("U30a", "C10a U20a", "xx"),
    ("U20a", "C10a U20b", "x."),
    ("R30", "C10a U20a", "xx"),
    ("R30", "C20a R10", "x."),
    ("R30", "C10a R40", ".."),
    ("C05a R10 C20b", "R10 C20b", ".."),
    ("R05", "R10", "."),
    ("R10", "R10", "."),
    ("R10", "R05", "."),  # where nothing is left, the row does not tell
]


@pytest.mark.parametrize(("known", "batch", "late"), CASES)
async def test_an_event_older_than_what_is_known_has_no_effect(
    database: Database, reads: ProgressReader, known: str, batch: str, late: str
) -> None:
    await database.empty()
    for text in known.split():
        await database.apply([build(text)])
    sent = [build(text) for text in batch.split()]
    before = (await reads.read_courses(USER, [COURSE])).value
    answers = []
    for _ in range(2):
        await database.apply(sent)
        answers.append("".join(".x"[found] for found in await find_overruled(reads, USER, sent, before)))

    assert answers == [late, late]


async def test_courses_are_told_apart(database: Database, reads: ProgressReader) -> None:
    await database.empty()
    await database.apply([build("U20a"), build("A20", OTHER)])
    sent = [build("C10a"), build("C10a", OTHER), build("R20", OTHER)]
    await database.apply(sent)

    assert await find_overruled(reads, USER, sent, {}) == [True, False, False]


async def test_nothing_sent_asks_nothing(reads: ProgressReader) -> None:
    assert await find_overruled(reads, USER, [], {}) == []
