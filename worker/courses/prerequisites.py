"""Decides whether a learner may complete a lesson yet: its newest version may require other lessons before it.

This is a question at the door: of events that are in Kafka nobody asks it. A prerequisite that a later version adds
takes nothing back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cachetools import LRUCache

from events.models import LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from worker.learners.reads import ProgressReader

KEPT_BYTES = 16 * 1024 * 1024  # of the prerequisites of versions, which never change
MOST_NAMED = 3  # in a text
LONGEST_NAME = 80

Sent = tuple[LessonEvent, datetime]
Named = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class MissingLesson:
    """Names a lesson that is to be completed first."""

    lesson_id: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Requirements:
    """Holds which lessons of a version require which, and the titles of these."""

    requires: Mapping[str, tuple[str, ...]]  # only lessons that require some
    titles: Mapping[str, str | None]

    def measure(self) -> int:
        """Returns about how many bytes this takes in memory, and the entry of a cache around it."""
        texts = [*self.requires, *self.titles, *(title or "" for title in self.titles.values())]
        return 500 + sum(60 + 4 * len(text) for text in texts) + 8 * sum(map(len, self.requires.values()))


NOTHING_REQUIRED = Requirements({}, {})


@dataclass(frozen=True, slots=True)
class Fact:
    """Says what a learner did with one lesson that counts as another: with that lesson itself, or one it replaces."""

    lesson_id: str
    completed: bool
    changed_at: datetime | None  # None: it was never completed or un-completed
    waived_at: datetime | None  # None: it is not waived
    completed_at: datetime | None = None


class Prerequisites:
    """Asks the database about a learner only where a lesson requires others, and remembers the versions that do."""

    def __init__(self) -> None:
        self._known: LRUCache[tuple[UUID, int], Requirements] = LRUCache(KEPT_BYTES, Requirements.measure)

    async def find_missing(
        self, reads: ProgressReader, user_id: UUID, sent: Sequence[Sent], versions: Mapping[UUID, int]
    ) -> list[tuple[MissingLesson, ...]]:
        """Returns, for each event that is to be taken, the lessons to be completed before it; none for most.

        `versions` has the newest version of the events' courses, 0 for a course without. The events count in the order
        of their times, so one may complete what a later one requires. Raises DatabaseUnavailable.
        """
        asked = {event.course_id for event, _ in sent if isinstance(event, LessonCompleted)}
        known = {course: await self._read(reads, course, versions[course]) for course in asked if versions[course]}
        facts = await read_facts(reads, user_id, list_lessons(sent, known))
        found = find_missing(sent, {course: version.requires for course, version in known.items()}, facts)
        return [
            tuple(MissingLesson(id, known[event.course_id].titles.get(id)) for id in missing)
            for (event, _), missing in zip(sent, found, strict=True)
        ]

    async def _read(self, reads: ProgressReader, course_id: UUID, version: int) -> Requirements:
        known = self._known.get((course_id, version))
        if known is None:
            rows = await reads.fetch("courses/requires_of_version", course_id, version)
            known = NOTHING_REQUIRED
            if rows:
                requires = {row["lesson_id"]: tuple(row["requires"]) for row in rows if row["requires"]}
                known = Requirements(requires, {row["lesson_id"]: row["title"] for row in rows})
            if known.measure() <= KEPT_BYTES:
                self._known[course_id, version] = known
        return known


def list_lessons(sent: Iterable[Sent], known: Mapping[UUID, Requirements]) -> set[Named]:
    """Returns the lessons that the events complete and that require others, and these others."""
    found: set[Named] = set()
    for event, _ in sent:
        if isinstance(event, LessonCompleted) and event.course_id in known:
            required = known[event.course_id].requires.get(event.lesson_id, ())
            found |= {(event.course_id, id) for id in (event.lesson_id, *required)} if required else set()
    return found


async def read_facts(reads: ProgressReader, user_id: UUID, lessons: Iterable[Named]) -> dict[Named, list[Fact]]:
    """Reads what the learner did with these lessons and those that they replace. Raises DatabaseUnavailable."""
    named = list(lessons)
    found: dict[Named, list[Fact]] = defaultdict(list)
    columns = [course for course, _ in named], [lesson for _, lesson in named]
    for row in await reads.fetch("courses/facts_of_lessons", user_id, *columns) if named else []:
        fact = Fact(row["same_id"], row["completed"], row["changed_at"], row["waived_at"], row["completed_at"])
        found[row["course_id"], row["lesson_id"]].append(fact)
    return found


def find_missing(
    sent: Sequence[Sent], requires: Mapping[UUID, Mapping[str, tuple[str, ...]]], facts: Mapping[Named, Sequence[Fact]]
) -> list[tuple[str, ...]]:
    """Returns, for each event, the lessons that it requires and that are not met by then. Pure.

    A lesson is met as in rule 8, by what is stored or by the events before this one in the order of times. Who has
    completed a lesson may do so again. An event that misses a lesson does not count for those behind it.
    """
    found: list[tuple[str, ...]] = [()] * len(sent)
    before = Before()
    for place in sorted(range(len(sent)), key=lambda place: sent[place][1]):
        event, at = sent[place]
        if isinstance(event, LessonCompleted):
            course = event.course_id
            required = requires.get(course, {}).get(event.lesson_id, ())
            own = (fact for fact in facts.get((course, event.lesson_id), ()) if fact.lesson_id == event.lesson_id)
            if required and not any(before.is_completed(course, fact) for fact in own):
                found[place] = tuple(id for id in required if not before.is_met(course, facts[course, id]))
            if found[place]:
                continue
        before.note(event, at)
    return found


class Before:
    """Remembers what the events so far say, beside what is stored."""

    def __init__(self) -> None:
        self._lessons: dict[Named, tuple[datetime, bool]] = {}
        self._resets: dict[UUID, datetime] = {}

    def note(self, event: LessonEvent, at: datetime) -> None:
        """Notes an event that is not earlier than those before it."""
        if isinstance(event, ProgressReset):
            self._resets[event.course_id] = at
        elif isinstance(event, LessonCompleted | LessonUncompleted):
            self._lessons[event.course_id, event.lesson_id] = at, isinstance(event, LessonCompleted)

    def is_met(self, course_id: UUID, facts: Iterable[Fact]) -> bool:
        """Tells whether one of the lessons that count as the same is completed or waived."""
        return any(self.is_completed(course_id, fact) or self._is_waived(course_id, fact) for fact in facts)

    def is_completed(self, course_id: UUID, fact: Fact) -> bool:
        """Tells whether the lesson is completed: the latest event decides, and at the same instant completed wins."""
        at, completed = self._lessons.get((course_id, fact.lesson_id), (None, False))
        reset = self._resets.get(course_id)
        if at is not None and (reset is None or at > reset):
            return completed or self._counts_since(fact, at)
        return fact.completed and (reset is None or (fact.changed_at is not None and fact.changed_at > reset))

    def _counts_since(self, fact: Fact, at: datetime) -> bool:
        return fact.completed and fact.changed_at is not None and fact.changed_at >= at

    def _is_waived(self, course_id: UUID, fact: Fact) -> bool:
        reset = self._resets.get(course_id)
        return fact.waived_at is not None and (reset is None or fact.waived_at > reset)


def describe_missing(missing: Sequence[MissingLesson]) -> str:
    """Says which lessons are to be completed first, in one sentence without a full stop."""
    *names, last = [f"“{shorten(lesson.title or lesson.lesson_id)}”" for lesson in missing[:MOST_NAMED]]
    if len(missing) > MOST_NAMED:
        names, last = [*names, last], f"{len(missing) - MOST_NAMED:,} more"
    return f"Complete {', '.join(names)} and {last} first" if names else f"Complete {last} first"


def shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
