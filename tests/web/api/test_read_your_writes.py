"""A read shows every write before it, through any of two API processes and any of three workers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.callers import Issuer
from tests.processes import ApiProcess, Workers, eventually
from worker.web.settings import ApiSettings

LESSONS = ("a", "b", "c")


class Step(NamedTuple):
    """Holds a write, the process that takes it, and the one that is read afterwards."""

    what: str
    lesson: str
    taken_by: int
    asked: int


either = st.integers(0, 1)
steps = st.builds(
    Step, st.sampled_from(["complete", "complete", "uncomplete", "reset"]), st.sampled_from(LESSONS), either, either
)
learners = st.lists(st.lists(steps, min_size=1, max_size=8), min_size=1, max_size=10)


@pytest.fixture(scope="module")
async def three_workers(shared: ApiSettings) -> AsyncIterator[None]:
    """Starts two workers beside the one that is there; each has partitions."""
    with Workers(shared) as workers:
        more = [workers.start(), workers.start()]

        async def share() -> bool:
            return all([(await worker.get("/ready")).json()["partitions"] for worker in more])

        await eventually(share)
        yield


@pytest.mark.usefixtures("three_workers")
@hypothesis_settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories=learners)
async def test_a_read_after_a_write_sees_it_in_every_process(
    two: list[ApiProcess], issuer: Issuer, histories: list[list[Step]]
) -> None:
    await asyncio.gather(*(play(two, issuer, history) for history in histories))


async def play(two: list[ApiProcess], issuer: Issuer, history: list[Step]) -> None:
    """Sends one learner's writes, one after the other."""
    token, course, done = issuer.token(uuid4()), str(uuid4()), None
    async with two[0].client(token) as one, two[1].client(token) as other:
        for step in history:
            response = await write((one, other)[step.taken_by], course, step)
            assert response.status_code == 200, response.text
            done = after(done, step)

            read = await (one, other)[step.asked].get(f"/api/progress/{course}")

            assert shown(read) == done


async def write(api: httpx.AsyncClient, course: str, step: Step) -> httpx.Response:
    if step.what == "reset":
        return await api.post("/api/progress/reset", json={"courseId": course})
    body: dict[str, Any] = {"courseId": course, "lessonId": step.lesson, "totalLessons": len(LESSONS)}
    return await api.request("POST" if step.what == "complete" else "DELETE", "/api/progress/complete", json=body)


def after(done: frozenset[str] | None, step: Step) -> frozenset[str] | None:
    """Returns the lessons that are completed; None: there is no progress."""
    if step.what == "complete":
        return (done or frozenset()) | {step.lesson}
    return None if step.what == "reset" else (done or frozenset()) - {step.lesson}


def shown(read: httpx.Response) -> frozenset[str] | None:
    return None if read.status_code == 404 else frozenset(read.json()["progress"]["completedLessons"])
