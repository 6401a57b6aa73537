"""Polls the progress of learners whom live streams watch: one poller per process, however many streams."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import structlog

from worker.achievements.facts import Award
from worker.errors import DatabaseUnavailable
from worker.learners.reads import CourseProgress
from worker.learners.service import ProgressService
from worker.web.problems import Problem

log = structlog.get_logger("api")

MOST_COURSES_SHOWN = 200  # of a learner, that a live stream shows
MOST_LESSONS = 500  # of a course, beyond which a live stream leaves their list out
POLL_STREAMS_EVERY_S = 0.5
# However many writes nudge the poller.
LEAST_BETWEEN_POLLS_S = 0.05
POLL_AWARDS_EVERY_S = 2.0  # a badge comes some seconds after what has earned it

ReadAwards: TypeAlias = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, tuple[Award, ...]]]]


@dataclass(frozen=True, slots=True)
class State:
    """Holds the courses of a learner at one moment: the latest accessed ones, MOST_COURSES_SHOWN at most.

    A course has all of its completed lessons, or none of them. The mark is of all courses of the learner.
    """

    mark: int
    as_of: datetime
    courses: Mapping[UUID, CourseProgress]
    whole: bool = True  # whether the learner has no other course


def drop_long_list(progress: CourseProgress) -> CourseProgress:
    """Returns the progress without the list of completed lessons if it is cut or long, as each change sends it."""
    long = progress.more_lessons or len(progress.completed_lessons) > MOST_LESSONS
    return replace(progress, completed_lessons=()) if long else progress


class WatchedLearner:
    """Holds the latest state of a learner whom live streams watch; None while it cannot be known."""

    def __init__(self) -> None:
        self.streams = 0
        self.state: State | None = None
        self.awards: tuple[Award, ...] | None = None
        self.away = False
        self.ended = False
        self.changed = asyncio.Event()

    def update(self, state: State | None) -> None:
        """Shows the streams this state; None means that the database is away."""
        self.state, self.away = state, state is None
        self.wake()

    def update_awards(self, awards: tuple[Award, ...]) -> None:
        """Shows the streams the badges that the learner has."""
        if awards != self.awards:
            self.awards = awards
            self.wake()

    def wake(self) -> None:
        """Wakes the streams that wait for the event which was `changed` until now."""
        before, self.changed = self.changed, asyncio.Event()
        before.set()


class ProgressPoller:
    """Polls only while a stream is open, `most` at once. Needs no closing except `close`, which ends the streams."""

    def __init__(
        self, service: ProgressService, most_per_caller: int, most: int, read_awards: ReadAwards | None = None
    ) -> None:
        """Without `read_awards` it does not look for badges."""
        self._service = service
        self._read_awards = read_awards
        self._awards_read_at = float("-inf")
        self._most = most
        self._most_per_caller = most_per_caller
        self._callers: Counter[UUID] = Counter()
        self._watched: dict[UUID, WatchedLearner] = {}
        self._nudged = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self.closed = False

    @property
    def streams(self) -> int:
        return self._callers.total()

    @contextmanager
    def watch(self, user_id: UUID, caller: UUID) -> Iterator[WatchedLearner]:
        """Keeps the learner up to date within the block.

        Raises a problem: 429 for a caller with too many streams, 503 if all callers together have too many.
        """
        if self._callers[caller] >= self._most_per_caller:
            raise Problem(429, f"{self._most_per_caller} streams are open already", headers={"Retry-After": "15"})
        if self.streams >= self._most:
            raise Problem(503, f"{self._most} streams are open already", headers={"Retry-After": "15"})
        watched = self._watched.setdefault(user_id, WatchedLearner())
        watched.streams += 1
        self._callers[caller] += 1
        self._start_polling()
        try:
            yield watched
        finally:
            watched.streams -= 1
            if not watched.streams and self._watched.get(user_id) is watched:
                del self._watched[user_id]
            self._callers[caller] -= 1
            self._callers += Counter()  # without zeros

    def nudge(self) -> None:
        """Polls at once, because this process has seen a write applied."""
        self._nudged.set()

    def close(self) -> None:
        """Ends every stream."""
        self.closed = True
        self._nudged.set()
        for watched in self._watched.values():
            watched.wake()

    def _start_polling(self) -> None:
        self.nudge()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._run(), name="progress poller")
            self._poller.add_done_callback(self._end_streams_on_failure)

    async def _run(self) -> None:
        while self._watched and not self.closed:
            self._nudged.clear()
            try:
                await self._poll_awards()  # first: whoever has a snapshot is told of every badge since
                await self._poll()
            except DatabaseUnavailable:
                for watched in self._watched.values():
                    if not watched.away:
                        watched.update(None)
            await asyncio.sleep(LEAST_BETWEEN_POLLS_S)
            try:
                async with asyncio.timeout(POLL_STREAMS_EVERY_S - LEAST_BETWEEN_POLLS_S):
                    await self._nudged.wait()
            except TimeoutError:
                continue

    async def _poll(self) -> None:
        marks = await self._service.reads.read_marks(list(self._watched))
        for user_id, watched in list(self._watched.items()):
            mark = marks.get(user_id, 0)
            if watched.state is not None and watched.state.mark == mark:
                continue
            # Read after its mark, so it is never older. At worst the next poll reads it again.
            read = await self._service.reads.list_courses(user_id, include_completed=True, limit=MOST_COURSES_SHOWN + 1)
            courses = {progress.course_id: drop_long_list(progress) for progress in read.value[:MOST_COURSES_SHOWN]}
            watched.update(State(mark, read.as_of, courses, whole=len(read.value) <= MOST_COURSES_SHOWN))

    async def _poll_awards(self) -> None:
        known = all(watched.awards is not None for watched in self._watched.values())
        now = time.monotonic()
        if self._read_awards is None or (known and now - self._awards_read_at < POLL_AWARDS_EVERY_S):
            return
        self._awards_read_at = now
        asked = dict(self._watched)
        found = await self._read_awards(list(asked))
        for user_id, watched in asked.items():
            watched.update_awards(found.get(user_id, ()))

    def _end_streams_on_failure(self, poller: asyncio.Task[None]) -> None:
        """Ends the streams of a poller that failed, because they would stand still. Their clients connect again."""
        if not poller.cancelled() and (error := poller.exception()):
            log.error("the poller of progress failed", exc_info=error)
            for watched in self._watched.values():
                watched.ended = True
                watched.wake()
            self._watched = {}
