"""Every completion without the certificate that it is owed is found, with the reason, and planned by `fix`."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from events.models import CourseCompleted, CourseEvent
from tests.certificates.desk import COURSE, NOON, USER, Desk, completed, taken_back
from worker.certificates import administration, reconcile
from worker.certificates.reconcile import Unfounded, find_all_missing, find_missing, find_unfounded, fix

LONG_AGO, JUST_NOW = timedelta(minutes=11), timedelta(minutes=9)


async def record(desk: Desk, *events: CourseEvent, ago: timedelta = LONG_AGO) -> None:
    """Records these transitions, and the last one in the progress row, as a worker did so long ago."""
    connection = desk.connection
    await connection.execute("reset role")
    for event in events:
        done = isinstance(event, CourseCompleted)
        at = event.completed_at if done else event.revoked_at
        await connection.execute(
            "insert into transition values"
            " (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, clock_timestamp() - $8::interval)",
            *(type(event).__name__, event.user_id, event.course_id, at, event.completion_number),
            *(event.course_version, event.cause, ago),
        )
        await put_row(desk, event, at if done else None, ago)
    await connection.execute("set role course_progress_effects")


async def put_row(desk: Desk, event: CourseEvent, completed_at: datetime | None, ago: timedelta = LONG_AGO) -> None:
    await desk.connection.execute(
        "insert into course_progress_all (user_id, course_id, last_accessed_at, completed_at, completion_number,"
        " course_version, lessons_completed, total_lessons, updated_at)"
        " values ($1, $2, now(), $3, $4, $5, $6, 1, now() - $7::interval) on conflict (user_id, course_id) do update"
        " set completed_at = excluded.completed_at, completion_number = excluded.completion_number,"
        " course_version = excluded.course_version, lessons_completed = excluded.lessons_completed",
        *(event.user_id, event.course_id, completed_at, event.completion_number),
        *(event.course_version, int(completed_at is not None), ago),
    )


async def reasons(desk: Desk) -> list[tuple[int, int, str]]:
    """Finds what is missing, with the rights of an API process."""
    await desk.connection.execute("reset role; set role course_progress_certificates")
    found = await find_missing(desk.connection, desk.settings, 10)
    await desk.connection.execute("reset role; set role course_progress_effects")
    return [(one.completion_number, one.course_version, one.reason.split(":")[0]) for one in found]


async def test_a_completion_whose_event_has_not_come_is_found_after_ten_minutes(desk: Desk) -> None:
    await record(desk, completed(1), ago=JUST_NOW)
    assert await reasons(desk) == []

    await desk.connection.execute("reset role; update transition set recorded_at = recorded_at - interval '2 minutes'")

    assert await reasons(desk) == [(1, 1, "course event not seen")]


async def test_fix_plans_it_from_what_the_workers_have_written(desk: Desk) -> None:
    """Also the version that the learner completed before."""
    await record(desk, completed(1), taken_back(1, "course-changed"), completed(2, 2))
    await desk.describe(name="Ada")

    assert await fix(desk.connection, desk.settings, await find_missing(desk.connection, desk.settings, 10)) == 1
    await desk.perform()

    rows = await desk.certificates()
    assert [(row["course_version"], row["completion_number"], row["status"]) for row in rows] == [
        *((1, 1, "valid"), (2, 2, "valid")),
    ]
    assert rows[1]["completed_at"] == completed(2).completed_at
    assert (await reasons(desk), await find_unfounded(desk.connection, 10)) == ([], [])


async def test_what_comes_after_a_fix_changes_nothing(desk: Desk) -> None:
    await record(desk, completed(1))
    await desk.describe(name="Ada")
    await fix(desk.connection, desk.settings, await find_missing(desk.connection, desk.settings, 10))
    await desk.perform()
    before = await desk.only()

    await desk.tell(completed(1))
    await desk.perform()

    assert (await desk.only())["issue"] == before["issue"]


async def test_fix_finds_the_title_and_a_row_without_a_transition(desk: Desk) -> None:
    await desk.connection.execute("reset role")
    await put_row(desk, completed(3, 2), NOON)
    await desk.connection.execute(
        "insert into course_version (course_id, version, published_at, policy, needed, title, content, digest)"
        " values ($1, 2, now(), 'reopen', 1, 'Knots', '{}', '')",
        COURSE,
    )
    await desk.connection.execute("set role course_progress_effects")
    await desk.describe(name="Ada")

    await fix(desk.connection, desk.settings, await find_missing(desk.connection, desk.settings, 10))
    await desk.perform()

    row = await desk.only()
    assert (row["title"], row["completed_at"], row["completion_number"]) == ("Knots", NOON, 3)
    assert await find_unfounded(desk.connection, 10) == []


async def test_the_reason_is_that_of_the_effect_that_waits(desk: Desk) -> None:
    await record(desk, completed(1))
    await desk.tell(completed(1))
    assert await reasons(desk) == [(1, 1, "planned, and not done yet")]

    await desk.perform()

    assert await reasons(desk) == [(1, 1, "no name")]


async def test_what_was_seen_and_is_not_planned_is_found_and_planned(desk: Desk) -> None:
    await record(desk, completed(1))
    await desk.tell(completed(1))
    await desk.connection.execute("delete from effect")
    assert await reasons(desk) == [(1, 1, "nothing is planned")]

    await fix(desk.connection, desk.settings, await find_missing(desk.connection, desk.settings, 10))

    assert await reasons(desk) == [(1, 1, "planned, and not done yet")]


async def test_a_completion_is_owed_a_certificate_by_its_number(desk: Desk) -> None:
    """The row may have another version since, without an event: that owes no certificate."""
    await record(desk, completed(1))
    await desk.issue(completed(1))
    await desk.connection.execute("reset role; update course_progress_all set course_version = 2")

    assert await reasons(desk) == []


async def test_courses_without_a_version_are_owed_one_only_if_an_operator_says_so(desk: Desk) -> None:
    await record(desk, completed(1, 0))
    assert await reasons(desk) == []

    desk.settings = desk.settings.model_copy(update={"certificates_without_catalog": True})

    assert await reasons(desk) == [(1, 0, "course event not seen")]


async def test_what_somebody_has_revoked_is_not_missing_and_what_was_taken_back_says_so(desk: Desk) -> None:
    await record(desk, completed(1))
    row = await desk.issue(completed(1))
    await desk.tell(taken_back(1))
    await desk.perform()
    assert await reasons(desk) == [(1, 1, "revoked")]

    await administration.revoke(desk.connection, desk.settings, row["code"], "cheated")
    await desk.perform()

    assert await reasons(desk) == []


async def test_who_is_not_complete_any_more_is_owed_nothing(desk: Desk) -> None:
    await record(desk, completed(1), taken_back(1))

    assert await reasons(desk) == []


async def test_a_valid_certificate_without_a_completion_is_found(desk: Desk) -> None:
    row = await desk.issue(completed(1))

    assert await find_unfounded(desk.connection, 10) == [Unfounded(row["code"], USER, COURSE, 1, 1)]
    await record(desk, taken_back(1))
    assert len(await find_unfounded(desk.connection, 10)) == 1
    await record(desk, completed(1))
    assert await find_unfounded(desk.connection, 10) == []


@pytest.mark.parametrize("chunk", [1, 2, 100])
async def test_the_whole_table_is_read_in_chunks(desk: Desk, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(reconcile, "CHUNK", chunk)
    monkeypatch.setattr(reconcile, "FIX_AT_ONCE", chunk)
    for number in range(5):
        await record(desk, completed(1).model_copy(update={"user_id": UUID(int=number + 10)}))

    found = [one async for some in find_all_missing(desk.connection, desk.settings) for one in some]

    assert [one.user_id.int for one in sorted(found, key=lambda one: one.user_id)] == [10, 11, 12, 13, 14]
    assert await fix(desk.connection, desk.settings, found) == 5
    assert len(await find_missing(desk.connection, desk.settings, 3)) == 3
