"""A course's figures over HTTP are for its instructors, and are missing for few learners."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from tests.callers import Issuer, client_of
from tests.databases import learners
from worker.web.settings import ApiSettings

SCOPE = "course:analytics"


@pytest.fixture
async def connection(shared: ApiSettings) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(shared.database_url.get_secret_value())
    yield connected
    await connected.close()


async def asked(app: FastAPI, token: str, course: UUID) -> tuple[int, Any]:
    async with client_of(app, token) as client:
        answer = await client.get(f"/api/courses/{course}/analytics")
    return answer.status_code, answer.json()


async def test_an_instructor_sees_the_courses_figures(
    app: FastAPI, issuer: Issuer, user: UUID, course: UUID, connection: asyncpg.Connection
) -> None:
    await learners(connection, course, 12, ["a", "b", "c"])
    await learners(connection, course, 3, ["a"])

    status, answer = await asked(app, issuer.token(user, SCOPE, courses=[str(course)]), course)

    assert (status, answer["courseId"]) == (200, str(course))
    assert answer["asOf"]
    figures = answer["figures"]
    assert (figures["learners"], figures["completed"], figures["completionRate"]) == (15, 10, None)
    assert figures["lessons"][0] == {"lessonId": "a", "learners": 15}
    assert len(figures["active"]) == 30


async def test_fewer_than_five_learners_have_no_figures(
    app: FastAPI, issuer: Issuer, user: UUID, course: UUID, connection: asyncpg.Connection
) -> None:
    await learners(connection, course, 4, ["a", "b", "c"])

    status, answer = await asked(app, issuer.token(user, SCOPE, courses="*"), course)

    assert (status, answer["figures"]) == (200, None)


@pytest.mark.parametrize(
    ("scope", "courses"),
    [("", "*"), ("ops progress:read:any", "*"), (SCOPE, None), (SCOPE, []), (SCOPE, [str(uuid4())])],
    ids=["no scope", "other scopes", "no claim", "no course", "another course"],
)
async def test_nobody_else_does(
    app: FastAPI, issuer: Issuer, user: UUID, course: UUID, scope: str, courses: Any
) -> None:
    status, answer = await asked(app, issuer.token(user, scope, courses=courses), course)

    assert (status, answer["type"]) == (403, "urn:course-progress:problem:forbidden")
