"""Simulates a course player: learners who study, and events that arrive late, twice, out of order or broken. Pure.

It reads no clock and takes its randomness from a seed.
"""

import heapq
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from events import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset

EVENTS_PER_S = 4.5  # of one learner who is not resting
REST_S = 2.0  # after a course, so that its full bar can be seen
COURSES_PER_LEARNER = 3

LATE = 0.02  # shares of all events
REPEATED = 0.03
OVERTAKEN = 0.05
GOES_OFFLINE = 0.002
BROKEN = 0.005
TAKEN_BACK = 0.01  # of all completed lessons
STARTS_OVER = 0.002
LONGEST_DELAY_S = 5.0

FIRST_NAMES = """Ada Alan Amina Anton Beatriz Boris Carmen Chen Dalia Daniel Edith Elif Emil Farah Felix Grace Hana
    Hugo Ines Ivan Jana Joseph Kamala Karim Lea Lin Mara Mateo Nadia Nils Olga Omar Paul Priya Quentin Rosa Sami Sofia
    Tariq Tessa Uma Vera Viktor Wanda Yara Yusuf Zoe""".split()  # noqa: SIM905 -- formatted as a list it takes a page
LAST_NAMES = """Abe Adeyemi Bauer Castro Dubois Eriksen Fontana Garcia Haddad Ito Jansen Kaya Kim Kowalski Larsen Moreau
    Mwangi Nagy Novak Okafor Patel Petrov Quist Rossi Sato Silva Singh Tanaka Umar Varga Weber Xu Yilmaz Zhou""".split()  # noqa: SIM905

# The fields that a broken producer changes in a good event; None leaves a field out.
DEFECTS: list[Mapping[str, object]] = [
    {"user_id": "nobody"},
    {"course_id": None},
    {"lesson_id": ""},
    {"lesson_id": "x" * 256},
    {"lesson_id": "null\x00byte"},
    {"total_lessons": 0},
    {"total_lessons": "12"},
    {"time": "yesterday"},
    {"time": "1970-01-01T00:00:00Z"},
    {"dataschema": "urn:course-progress:LessonCompleted:2.0"},
]
NOT_JSON = b"<html>502 Bad Gateway</html>"


class Course(NamedTuple):
    """Describes a simulated course; its id follows from its title."""

    title: str
    lessons: int

    @property
    def id(self) -> UUID:
        return uuid5(NAMESPACE_URL, self.title)

    def lesson(self, number: int) -> str:
        return f"{self.title.lower().replace(' ', '-')}/{number}"


COURSES = [
    Course("Fire safety", 1),
    Course("Touch typing", 4),
    Course("Baking bread", 7),
    Course("First aid", 9),
    Course("Chess openings", 12),
    Course("Statistics", 20),
    Course("Spanish A1", 32),
    Course("Organic chemistry", 48),
]
TITLES = {course.id: course.title for course in COURSES}


def make_name(user_id: UUID) -> str:
    """Makes a learner's name from the id, always the same one."""
    rest, first = divmod(user_id.int, len(FIRST_NAMES))
    return f"{FIRST_NAMES[first]} {LAST_NAMES[rest % len(LAST_NAMES)]}"


class Happening(NamedTuple):
    """Holds an event, when it happened, and its id, as LessonEventPublisher.publish_many takes them."""

    event: LessonEvent
    occurred_at: datetime
    event_id: str


class BrokenRecord(NamedTuple):
    """Holds the key and value of a record that no worker can apply."""

    key: bytes
    value: bytes


@dataclass
class Turn:
    """Holds the events and broken records that reach Kafka at one moment."""

    happenings: list[Happening] = field(default_factory=list)
    broken: list[BrokenRecord] = field(default_factory=list)


class Learner:
    """Simulates a learner who takes some courses, lesson by lesson, and then has `finished`."""

    def __init__(self, rng: random.Random, now: datetime) -> None:
        self.user_id = UUID(int=rng.getrandbits(128), version=4)
        self.course = COURSES[0]
        self.finished = False
        self.offline_until = self._acts_at = now
        self._rng = rng
        self._study_steps = self._study()

    def act_until(self, now: datetime) -> Iterator[tuple[LessonEvent, datetime]]:
        """Yields the learner's events up to now, each with the time it happened."""
        while self._acts_at <= now and not self.finished:
            event = next(self._study_steps, None)
            if event:
                yield event, self._acts_at
            self._acts_at += timedelta(seconds=self._rng.expovariate(EVENTS_PER_S) if event else REST_S)

    def _study(self) -> Iterator[LessonEvent | None]:
        """Yields all events of the learner; None is a rest."""
        for course in self._rng.sample(COURSES, COURSES_PER_LEARNER):
            self.course = course
            yield from self._take(course)
            yield None
        self.finished = True

    def _take(self, course: Course) -> Iterator[LessonEvent]:
        ids = {"user_id": self.user_id, "course_id": course.id}
        number = 1
        while number <= course.lessons:
            lesson = {"lesson_id": course.lesson(number), "total_lessons": course.lessons}
            for _ in range(self._rng.randint(1, 4)):
                yield CourseAccessed(**ids, lesson_id=course.lesson(number))
            yield LessonCompleted(**ids, **lesson)
            number += 1
            if self._rng.random() < TAKEN_BACK:
                yield LessonUncompleted(**ids, **lesson)
                number -= 1
            elif self._rng.random() < STARTS_OVER:
                yield ProgressReset(**ids)
                number = 1


class Player:
    """Simulates all learners, and their unreliable connection to Kafka. Equal seeds and times give equal turns."""

    def __init__(self, learners: int, seed: int, now: datetime) -> None:
        self._rng = random.Random(seed)
        self.learners = [Learner(self._rng, now) for _ in range(learners)]
        self._on_the_way: list[tuple[datetime, int, Happening]] = []  # a heap
        self._number = count()

    def turn(self, now: datetime) -> Turn:
        """Returns what reaches Kafka now. A new learner replaces each who has finished, so that nothing grows."""
        turn = Turn()
        for slot, learner in enumerate(self.learners):
            for event, at in learner.act_until(now):
                happening = self._build_happening(event, at)
                for arrives_at in self._plan_arrivals(learner, at):
                    heapq.heappush(self._on_the_way, (arrives_at, next(self._number), happening))
                if self._rng.random() < BROKEN:
                    turn.broken.append(break_event(happening, self._rng.choice([*DEFECTS, None])))
            if learner.finished:
                self.learners[slot] = Learner(self._rng, now)
        while self._on_the_way and self._on_the_way[0][0] <= now:
            turn.happenings.append(heapq.heappop(self._on_the_way)[2])
        return turn

    def _build_happening(self, event: LessonEvent, at: datetime) -> Happening:
        if self._rng.random() < LATE:  # from an app that was offline for hours
            at -= timedelta(hours=self._rng.uniform(1, 72))
        return Happening(event, at, str(UUID(int=self._rng.getrandbits(128), version=4)))

    def _plan_arrivals(self, learner: Learner, at: datetime) -> Iterator[datetime]:
        """Yields when an event reaches Kafka: at once, later, twice, or when its learner is online again."""
        if self._rng.random() < GOES_OFFLINE:
            learner.offline_until = at + self._choose_delay()
        delayed = at + self._choose_delay() if self._rng.random() < OVERTAKEN else at
        yield max(delayed, learner.offline_until)
        if self._rng.random() < REPEATED:
            yield at + self._choose_delay()

    def _choose_delay(self) -> timedelta:
        return timedelta(seconds=self._rng.uniform(0.1, LONGEST_DELAY_S))


def break_event(happening: Happening, defect: Mapping[str, object] | None) -> BrokenRecord:
    """Writes the event as a broken producer would; without a defect, a value that is not an event."""
    event, at, event_id = happening
    key = str(event.user_id).encode()
    if defect is None:
        return BrokenRecord(key, NOT_JSON)
    good = {"id": event_id, "type": "LessonCompleted", "time": at.isoformat(), "total_lessons": 1, "lesson_id": "1"}
    fields = good | event.model_dump(mode="json", include={"user_id", "course_id"}) | dict(defect)
    return BrokenRecord(key, json.dumps({name: value for name, value in fields.items() if value is not None}).encode())
