"""Calls write while a worker runs."""

import asyncio
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.callers import Issuer, Lesson, client_of
from tests.databases import invent
from tests.processes import ApiProcess
from worker.learners.reads import MOST_LESSONS
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.settings import ApiSettings

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def item(course: UUID, lesson: str, at: datetime = YESTERDAY, type: str = "LessonCompleted") -> dict[str, Any]:
    return {
        "type": type, "courseId": str(course), "lessonId": lesson, "totalLessons": 4, "occurredAt": at.isoformat()
    }  # fmt: skip


async def test_completing_a_lesson_answers_with_the_progress_after_it(
    client: httpx.AsyncClient, lesson: Lesson, user: UUID, course: UUID
) -> None:
    answer = await client.post("/api/progress/complete", json=lesson())

    assert answer.status_code == 200, answer.text
    body = answer.json()
    progress = body["progress"]
    assert body["success"] is True
    assert datetime.fromisoformat(body["asOf"]) >= datetime.fromisoformat(progress["lastAccessedAt"])
    assert progress == {
        "userId": str(user),
        "courseId": str(course),
        "lessonsCompleted": 1,
        "totalLessons": 4,
        "progressPercentage": 25,
        "completedLessons": ["a"],
        "lastLessonId": "a",
        "lastAccessedAt": progress["lastAccessedAt"],
        "startedAt": progress["lastAccessedAt"],
        "completedAt": None,
        "completionNumber": 0,
    }


async def test_an_access_that_knows_the_total_completes_a_course_that_became_smaller(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson())
    opened = {"courseId": str(course), "totalLessons": 1, "utcOffsetMinutes": 120}

    answer = await client.post("/api/progress/access", json=opened)

    assert answer.json()["progress"]["progressPercentage"] == 100


async def test_without_a_total_a_lesson_is_completed_and_the_course_stays_at_0(
    client: httpx.AsyncClient, lesson: Lesson
) -> None:
    body = lesson()
    del body["totalLessons"]

    answer = await client.post("/api/progress/complete", json=body)

    progress = answer.json()["progress"]
    assert (progress["completedLessons"], progress["totalLessons"], progress["progressPercentage"]) == (["a"], None, 0)


async def test_taking_it_back_answers_with_the_progress_or_null_where_there_was_none(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    without = await client.request("DELETE", "/api/progress/complete", json=lesson())
    begun = await client.get(f"/api/progress/{course}")
    await client.post("/api/progress/complete", json=lesson())
    taken = await client.request("DELETE", "/api/progress/complete", json=lesson())

    assert without.status_code == 200
    assert without.json() | {"asOf": ""} == {"success": False, "progress": None, "asOf": ""}
    assert begun.json()["progress"]["progressPercentage"] == 0
    assert taken.json()["success"] is True
    assert taken.json()["progress"]["completedLessons"] == []


async def test_taking_back_what_a_later_reset_hides_is_not_a_success(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson())
    soon = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    reset = {"type": "ProgressReset", "courseId": str(course), "occurredAt": soon}
    await client.post("/api/progress/complete/batch", json={"events": [reset]})

    taken = await client.request("DELETE", "/api/progress/complete", json=lesson())

    assert (taken.status_code, taken.json()["success"], taken.json()["progress"]) == (200, False, None)


async def test_an_access_creates_progress_and_a_reset_ends_it(client: httpx.AsyncClient, course: UUID) -> None:
    opened = await client.post("/api/progress/access", json={"courseId": str(course), "lessonId": "b"})
    first = await client.post("/api/progress/reset", json={"courseId": str(course)})
    again = await client.post("/api/progress/reset", json={"courseId": str(course)})

    assert opened.json()["progress"]["lastLessonId"] == "b"
    assert first.json() | {"asOf": ""} == {"success": True, "progress": None, "asOf": ""}
    assert again.json()["success"] is False
    gone = await client.get(f"/api/progress/{course}")
    assert gone.status_code == 404
    assert gone.json()["asOf"] > again.json()["asOf"]


async def test_a_write_that_a_later_event_overrules_is_not_a_success(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=4)
    ahead = [item(course, "a", soon), item(course, "b", soon, "LessonUncompleted")]
    await client.post("/api/progress/complete/batch", json={"events": ahead})
    taken = (await client.request("DELETE", "/api/progress/complete", json=lesson())).json()
    done = (await client.post("/api/progress/complete", json=lesson("b"))).json()

    assert (taken["success"], done["success"]) == (False, False)
    assert taken["progress"]["completedLessons"] == done["progress"]["completedLessons"] == ["a"]


async def test_an_access_before_a_known_one_is_not_a_success(client: httpx.AsyncClient, course: UUID) -> None:
    opened = {"courseId": str(course), "lessonId": "a"}
    first = (await client.post("/api/progress/access", json=opened)).json()
    soon = datetime.now(UTC) + timedelta(minutes=4)
    ahead = item(course, "b", soon, "CourseAccessed")
    await client.post("/api/progress/complete/batch", json={"events": [ahead]})

    late = (await client.post("/api/progress/access", json=opened)).json()

    assert (first["success"], late["success"]) == (True, False)
    assert late["progress"]["lastLessonId"] == "b"


@pytest.mark.parametrize("call", ["complete", "access"])
async def test_what_a_known_reset_forgets_is_answered_and_is_not_a_success(
    client: httpx.AsyncClient, course: UUID, call: str
) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    reset = {"type": "ProgressReset", "courseId": str(course), "occurredAt": soon}
    await client.post("/api/progress/complete/batch", json={"events": [reset]})

    answer = await client.post(f"/api/progress/{call}", json={"courseId": str(course), "lessonId": "a"})

    assert answer.status_code == 200
    assert answer.json() | {"asOf": ""} == {"success": False, "progress": None, "asOf": ""}


async def test_a_reset_before_all_that_is_known_is_not_a_success(client: httpx.AsyncClient, course: UUID) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=4)
    await client.post("/api/progress/complete/batch", json={"events": [item(course, "a", soon)]})

    answer = (await client.post("/api/progress/reset", json={"courseId": str(course)})).json()

    assert (answer["success"], answer["progress"]["completedLessons"]) == (False, ["a"])


async def test_two_spellings_of_a_lesson_are_one_lesson(client: httpx.AsyncClient, lesson: Lesson) -> None:
    spellings = [unicodedata.normalize(form, "Einführung-été") for form in ("NFD", "NFC")]
    done = [(await client.post("/api/progress/complete", json=lesson(spelling))).json() for spelling in spellings]
    taken = (await client.request("DELETE", "/api/progress/complete", json=lesson(spellings[0]))).json()

    assert [answer["progress"]["completedLessons"] for answer in (*done, taken)] == [[spellings[1]], [spellings[1]], []]
    assert [answer["success"] for answer in (*done, taken)] == [True] * 3


async def test_what_is_not_applied_in_time_is_accepted_with_the_events_id(
    shared: ApiSettings, issuer: Issuer, user: UUID, lesson: Lesson, course: UUID
) -> None:
    nobodys = shared.model_copy(update={"consumer_group": "nobody", "apply_deadline_s": 0.05})
    async with ProgressService(nobodys) as service:
        impatient = create_api(nobodys, PemKeys(issuer.key_file), service)
        async with client_of(impatient, issuer.token(user)) as client:
            answer = await client.post("/api/progress/complete", json=lesson())
            taken = await client.request("DELETE", "/api/progress/complete", json=lesson())
            batch = await client.post("/api/progress/complete/batch", json={"events": [item(course, "b")]})

    assert (answer.status_code, answer.json()["accepted"]) == (202, True)
    assert UUID(answer.json()["eventId"])
    assert (taken.status_code, taken.json()["accepted"]) == (202, True)
    assert (batch.status_code, [result["status"] for result in batch.json()["results"]]) == (202, ["accepted"])


# Batches


async def test_a_batch_is_answered_event_by_event_and_what_is_invalid_in_its_place(
    client: httpx.AsyncClient, course: UUID
) -> None:
    events = [item(course, "a"), {"type": "LessonCompleted", "courseId": "x"}, {"type": "Danced"}, item(course, "b")]
    answer = await client.post("/api/progress/complete/batch", json={"events": events})

    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["applied", "rejected", "rejected", "applied"]
    assert "/courseId" in [error["pointer"] for error in results[1]["errors"]]
    assert results[2]["errors"][0]["detail"].startswith("Input tag 'Danced'")
    [progress] = answer.json()["progress"]
    assert progress["completedLessons"] == ["a", "b"]
    assert datetime.fromisoformat(progress["lastAccessedAt"]) == YESTERDAY


async def test_repeating_a_batch_changes_nothing_and_answers_with_the_same_ids(
    client: httpx.AsyncClient, course: UUID
) -> None:
    other = uuid4()
    events = [
        item(course, "a"),
        item(other, "a"),
        item(course, "b", YESTERDAY + timedelta(minutes=1)),
        item(course, "a", YESTERDAY + timedelta(minutes=2), "LessonUncompleted"),
        {"type": "CourseAccessed", "courseId": str(other), "occurredAt": (YESTERDAY + timedelta(hours=1)).isoformat()},
        {"type": "ProgressReset", "courseId": str(course), "occurredAt": (YESTERDAY - timedelta(1)).isoformat()},
    ]
    first, second = [
        (await client.post("/api/progress/complete/batch", json={"events": events})).json() for _ in range(2)
    ]

    assert first["results"] == second["results"]
    assert len({result["eventId"] for result in first["results"]}) == len(events)
    assert first["progress"] == second["progress"]
    assert {p["courseId"]: p["completedLessons"] for p in first["progress"]} == {str(course): ["b"], str(other): ["a"]}


def states(answer: httpx.Response) -> list[str]:
    return [result["status"] for result in answer.json()["results"]]


async def test_events_of_one_second_count_in_the_order_of_the_list(client: httpx.AsyncClient, course: UUID) -> None:
    other = uuid4()
    started_over = {"type": "ProgressReset", "courseId": str(other), "occurredAt": YESTERDAY.isoformat()}
    events = [
        item(course, "a"),
        item(course, "a", type="LessonUncompleted"),
        item(other, "old"),
        started_over,
        item(other, "new"),
    ]
    answers = [await client.post("/api/progress/complete/batch", json={"events": events}) for _ in range(2)]

    for answer in answers:
        assert states(answer) == ["applied"] * 5
        done = {p["courseId"]: p["completedLessons"] for p in answer.json()["progress"]}
        assert done == {str(course): [], str(other): ["new"]}
    assert answers[0].json()["results"] == answers[1].json()["results"]


async def test_of_a_batch_what_is_older_than_what_is_known_has_no_effect(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson("a"))
    await client.post("/api/progress/complete", json=lesson("b"))
    await client.request("DELETE", "/api/progress/complete", json=lesson("b"))
    opened = {"type": "CourseAccessed", "courseId": str(course), "occurredAt": YESTERDAY.isoformat()}
    reset = {**opened, "type": "ProgressReset", "occurredAt": (YESTERDAY - timedelta(1)).isoformat()}
    taken = item(course, "a", type="LessonUncompleted")
    events = [item(course, "b"), taken, item(course, "c"), opened, {"type": "Danced"}, reset]
    answer = await client.post("/api/progress/complete/batch", json={"events": events})

    assert states(answer) == ["no-effect", "no-effect", "applied", "no-effect", "rejected", "no-effect"]
    assert [result["eventId"] is None for result in answer.json()["results"]] == [False] * 4 + [True, False]
    assert answer.json()["progress"][0]["completedLessons"] == ["c", "a"]


async def test_a_batch_has_at_most_500_events(client: httpx.AsyncClient) -> None:
    events = [item(uuid4(), "a") for _ in range(501)]
    most = await client.post("/api/progress/complete/batch", json={"events": events[:500]})
    too_many = await client.post("/api/progress/complete/batch", json={"events": events})
    none = await client.post("/api/progress/complete/batch", json={"events": []})

    assert [answer.status_code for answer in (most, too_many, none)] == [200, 400, 400]
    assert {result["status"] for result in most.json()["results"]} == {"applied"}


@pytest.mark.parametrize("at", ["1999-12-31T23:59:59Z", "2026-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "soon"])
async def test_a_time_that_no_event_can_carry_is_rejected(client: httpx.AsyncClient, course: UUID, at: str) -> None:
    answer = await client.post(
        "/api/progress/complete/batch", json={"events": [item(course, "a") | {"occurredAt": at}]}
    )

    [result] = answer.json()["results"]
    assert (result["status"], result["errors"][0]["pointer"]) == ("rejected", "/occurredAt")


async def test_a_time_ahead_of_the_server_is_rejected(client: httpx.AsyncClient, course: UUID) -> None:
    now = datetime.now(UTC)
    events = [item(course, "a", now + timedelta(minutes=6)), item(course, "b", now + timedelta(minutes=4))]
    answer = await client.post("/api/progress/complete/batch", json={"events": events})

    first, second = answer.json()["results"]
    assert (first["status"], first["errors"][0]["pointer"]) == ("rejected", "/occurredAt")
    assert second["status"] == "applied"


async def test_a_read_by_another_process_sees_what_was_written_through_this_one(
    two: list[ApiProcess], issuer: Issuer
) -> None:
    async def writes_and_reads(number: int) -> None:
        user, course = uuid4(), uuid4()
        here, there = (api.client(issuer.token(user)) for api in (two[number % 2], two[(number + 1) % 2]))
        async with here, there:
            for lesson in ("a", "b", "c"):
                body = {"courseId": str(course), "lessonId": lesson, "totalLessons": 4}
                written = await here.post("/api/progress/complete", json=body)
                read = await there.get(f"/api/progress/{course}")

                assert written.status_code == 200, written.text
                assert read.json()["progress"] == written.json()["progress"]
                assert lesson in read.json()["progress"]["completedLessons"]

    await asyncio.gather(*(writes_and_reads(number) for number in range(6)))


# No room


async def test_a_learner_without_room_is_refused_and_told_what_there_is_too_much_of(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, user: UUID, lesson: Lesson, course: UUID
) -> None:
    small = shared.model_copy(update={"api_courses_per_learner": 1, "api_lessons_per_course": 2})
    app = create_api(small, PemKeys(issuer.key_file), service)
    async with client_of(app, issuer.token(user)) as client:
        for name in ("a", "b"):
            assert (await client.post("/api/progress/complete", json=lesson(name))).status_code == 200
        third = await client.post("/api/progress/complete", json=lesson("c"))
        taken = await client.request("DELETE", "/api/progress/complete", json=lesson("c"))
        again = await client.request("DELETE", "/api/progress/complete", json=lesson("b"))
        other = str(uuid4())
        calls = [("complete", lesson(courseId=other)), ("access", {"courseId": other}), ("reset", {"courseId": other})]
        courses = [await client.post(f"/api/progress/{call}", json=body) for call, body in calls]
        read = await client.get("/api/progress")

    for answer, pointer in ((third, "/lessonId"), (taken, "/lessonId"), *((course, "/courseId") for course in courses)):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:course-progress:problem:full")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert again.status_code == 200
    assert [(p["courseId"], p["completedLessons"]) for p in read.json()["items"]] == [(str(course), ["a"])]


async def test_a_batch_is_applied_as_far_as_there_is_room(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, user: UUID, course: UUID
) -> None:
    small = shared.model_copy(update={"api_courses_per_learner": 2, "api_lessons_per_course": 2})
    app = create_api(small, PemKeys(issuer.key_file), service)
    events = [item(course, name) for name in ("a", "b", "c", "a")] + [item(uuid4(), "x") for _ in range(2)]
    async with client_of(app, issuer.token(user)) as client:
        answer = (await client.post("/api/progress/complete/batch", json={"events": events})).json()

    states = [result["status"] for result in answer["results"]]
    assert states == ["applied", "applied", "rejected", "applied", "applied", "rejected"]
    assert [answer["results"][n]["errors"][0]["pointer"] for n in (2, 5)] == ["/lessonId", "/courseId"]
    assert len(answer["progress"]) == 2


async def test_a_lesson_behind_the_end_of_a_cut_list_is_completed_and_taken_back(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, lesson: Lesson, course: UUID
) -> None:
    await invent(rows, user, course, MOST_LESSONS + 1)

    done = (await client.post("/api/progress/complete", json=lesson("last"))).json()
    taken = (await client.request("DELETE", "/api/progress/complete", json=lesson("last"))).json()

    assert (done["success"], taken["success"]) == (True, True)
    assert [len(answer["progress"]["completedLessons"]) for answer in (done, taken)] == [MOST_LESSONS] * 2
    assert [answer["progress"]["moreLessons"] for answer in (done, taken)] == [2, 1]


# What is not known


async def test_a_lesson_that_no_version_names_is_refused_and_one_that_a_version_names_is_not(
    app: FastAPI, issuer: Issuer, client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    content = {"lessons": [{"lessonId": "a"}]}
    async with client_of(app, issuer.token(uuid4(), "catalog:write", courses=[str(course)])) as owner:
        await owner.put(f"/api/courses/{course}/versions/1", json=content)
    typo = lesson("A", totalLessons=1)
    refused = [
        await client.post("/api/progress/complete", json=typo),
        await client.request("DELETE", "/api/progress/complete", json=typo),
        await client.post("/api/progress/access", json={"courseId": str(course), "lessonId": "A"}),
    ]
    events = [item(course, "A"), item(course, "a"), {**item(course, "A", type="CourseAccessed")}]
    del events[2]["totalLessons"]
    batch = (await client.post("/api/progress/complete/batch", json={"events": events})).json()
    opened = await client.post("/api/progress/access", json={"courseId": str(course)})

    assert [(answer.status_code, answer.json()["type"]) for answer in refused] == [
        (404, "urn:course-progress:problem:unknown-lesson")
    ] * 3
    assert [result["status"] for result in batch["results"]] == ["rejected", "applied", "rejected"]
    assert batch["results"][0]["errors"][0]["pointer"] == "/lessonId"
    assert opened.json()["progress"]["completedLessons"] == ["a"]
    assert opened.json()["progress"]["progressPercentage"] == 100


async def test_a_course_without_a_version_is_refused_where_the_setting_says_so(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, user: UUID, lesson: Lesson, course: UUID
) -> None:
    strict = shared.model_copy(update={"api_unknown_courses": "refuse"})
    async with client_of(create_api(strict, PemKeys(issuer.key_file), service), issuer.token(user)) as client:
        refused = [
            await client.post("/api/progress/complete", json=lesson()),
            await client.post("/api/progress/access", json={"courseId": str(course)}),
            await client.post("/api/progress/reset", json={"courseId": str(course)}),
        ]
        batch = (await client.post("/api/progress/complete/batch", json={"events": [item(course, "a")]})).json()
        read = await client.get("/api/progress")

    assert [(answer.status_code, answer.json()["type"]) for answer in refused] == [
        (404, "urn:course-progress:problem:unknown-course")
    ] * 3
    assert batch["results"][0]["errors"][0]["pointer"] == "/courseId"
    assert read.json()["items"] == []
