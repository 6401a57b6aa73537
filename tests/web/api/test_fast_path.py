"""The fast path for one course answers as FastAPI's route does."""

from uuid import UUID

import httpx
import pytest

from tests.callers import Lesson


async def test_both_paths_answer_alike(client: httpx.AsyncClient, lesson: Lesson, user: UUID, course: UUID) -> None:
    await client.post("/api/progress/complete", json=lesson())

    asked = (f"{course}", f"{course}".upper(), course.hex, f"{course}?userId={user}", f"{course}?other=1")
    answers = [await client.get(f"/api/progress/{text}") for text in asked]

    assert [answer.status_code for answer in answers] == [200] * len(asked)
    assert len({answer.headers["ETag"] for answer in answers}) == 1


@pytest.mark.parametrize("query", ["", "?other=1"])
async def test_a_malformed_course_id_is_refused_on_both_paths(
    client: httpx.AsyncClient, course: UUID, query: str
) -> None:
    asked = (f"{course}".replace("-", "", 1), f"{course}%0A", f"{course}-")
    answers = [await client.get(f"/api/progress/{text}{query}") for text in asked]

    assert [answer.status_code for answer in answers] == [400] * len(asked)
