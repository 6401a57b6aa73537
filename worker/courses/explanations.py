"""Reads the explanation of a learner's progress in a course."""

from typing import Self
from uuid import UUID

from worker.courses.explain import explain
from worker.courses.explain_facts import read_facts
from worker.courses.explanation import Explanation
from worker.learners.reads import ReadResult
from worker.postgres.connection import with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

LONGEST_S = 5.0


class Explanations:
    """Reads explanations. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def read(self, user_id: UUID, course_id: UUID) -> ReadResult[Explanation | None]:
        """Explains the learner's progress: 0 % to who has not begun a course that has a version.

        None: the course has no version, and the learner was never in it. Raises DatabaseUnavailable.
        """
        facts = await read_facts(self._pool, user_id, course_id)
        return ReadResult(facts.as_of, None if facts.is_empty else explain(facts))
