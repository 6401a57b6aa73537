"""Finds the course and the lesson that a statement is about, from the activities of its context.

The course is the first of parent, then grouping, whose type ends in `/course`. Where no type says it, other statements
may: that an activity is a course, which course a registration is of, or that an activity is itself something that
learners do, so that what lies in it is a part. So such statements wait until all files are read.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from worker.importers.records import Malformed, Skipped
from worker.importers.spool import Spool

ABOUT_COURSE = Skipped("about the course itself")
PART = Skipped("about a part of a lesson")
# The last parts of types that only group lessons, or the parts of one.
_GROUPS = ("section", "module", "block", "unit", "chapter", "topic", "sequential", "vertical", "category", "collection")
GROUPS = (*_GROUPS, "group", "theme", "folder", "week", "lms", "site", "program", "programme", "curriculum", "source")
PARTS = ("cmi.interaction", "interaction", "question")
CMI5 = "https://w3id.org/xapi/cmi5/context/categories/cmi5"
HINT = "say which by --course-from"


class Activity(NamedTuple):
    """Names an activity; `type` is the last part of its type, empty without one."""

    id: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Holds what decides a statement's course where its own types do not, or whether it is about a part of a lesson."""

    course: str | None
    parents: tuple[str, ...]  # without a type
    groupings: tuple[str, ...]
    registration: str | None
    cmi5: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_activities(value: Any) -> list[Activity]:
    """Reads a list of activities, or one that stands alone, as xAPI 1.0 allows. Leaves out what is none."""
    found = value if isinstance(value, list) else [value]
    return [activity for each in found if (activity := read_activity(each))]


def read_activity(value: Any) -> Activity | None:
    """Reads an activity; None for what is none."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not value["id"]:
        return None
    definition = value.get("definition")
    kind = definition.get("type") if isinstance(definition, dict) else None
    return Activity(value["id"], _last_part(kind) if isinstance(kind, str) else "")


@lru_cache(maxsize=1000)
def _last_part(kind: str) -> str:
    return kind.rstrip("/").rpartition("/")[2].lower()


def find_place(
    lesson: Activity, context: Any, course_from: str, spool: Spool
) -> tuple[str, str] | Place | Malformed | Skipped:
    """Returns course and lesson, or what decides them later, or why there is none. Notes facts in the spool."""
    context = context if isinstance(context, dict) else {}
    activities = context.get("contextActivities")
    activities = activities if isinstance(activities, dict) else {}
    parents, groupings = read_activities(activities.get("parent")), read_activities(activities.get("grouping"))
    registration = context.get("registration")
    registration = registration.lower() if isinstance(registration, str) else None
    course = _choose_course(parents, groupings, course_from)
    for each in (lesson, *parents, *groupings):
        if each.type == "course":
            spool.note("known_course", each.id)
    cmi5 = any(each.id == CMI5 for each in read_activities(activities.get("category")))
    if lesson.type == "course" or lesson.id == course:
        if registration and cmi5:  # as the launching system says that the course is satisfied
            spool.note("registration", registration, course or lesson.id)
        return ABOUT_COURSE
    above = [each for each in parents if each.id not in (course, lesson.id)]
    spool.note("thing", lesson.id, int(bool(course or above)))
    if lesson.type in PARTS or "subContentId=" in lesson.id:
        return PART
    for each in above:
        if each.type and each.type != "course" and each.type not in GROUPS:
            if lesson.type != "attempt":
                return PART
            lesson = each  # an attempt at a quiz completes the quiz
            break
    plain = tuple(each.id for each in above if not each.type and each.id != lesson.id)
    if course is not None and (not plain or course_from == "parent"):
        return course, lesson.id
    others = tuple(each.id for each in groupings if not each.type and each.id != lesson.id)
    return Place(course, plain, others, registration, cmi5)


def _choose_course(parents: list[Activity], groupings: list[Activity], course_from: str) -> str | None:
    if course_from == "type":
        return next((each.id for each in (*parents, *groupings) if each.type == "course"), None)
    if course_from in ("parent", "grouping"):
        return next((each.id for each in (parents if course_from == "parent" else groupings)), None)
    return course_from


class Resolver:
    """Decides the places that waited, once all files are read."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._is_course = lru_cache(maxsize=10_000)(self._find_course)
        self._is_thing = lru_cache(maxsize=10_000)(self._find_thing)

    def decide(self, place: str, lesson: str) -> str | Malformed | Skipped:
        """Returns the course of the lesson, or why there is none (`line` 0)."""
        found = Place(**json.loads(place))
        course = found.course or self._choose(found, lesson)
        if not isinstance(course, str):
            return course
        inside = any(each != course and not self._is_course(each) and self._is_thing(each) for each in found.parents)
        return PART if inside else course

    def _choose(self, place: Place, lesson: str) -> str | Malformed | Skipped:
        of_registration = self._list_courses(place.registration)
        if place.cmi5 and of_registration:
            several = Malformed(0, f"course: its registration has several courses; {HINT}")
            return of_registration[0] if len(of_registration) == 1 else several
        if self._is_course(lesson):
            return ABOUT_COURSE
        named = [*place.parents, *place.groupings]
        known = next((each for each in named if self._is_course(each)), None)
        if known is not None:
            return known
        if of_registration:
            return PART  # of what cmi5 launched: only cmi5's own statements say that this is completed
        if place.cmi5:
            return Malformed(0, f"course: cmi5, and nothing was satisfied that names the course; {HINT}")
        if len(set(named)) > 1:
            return Malformed(0, f"course: none of {', '.join(dict.fromkeys(named))} has the type of a course; {HINT}")
        if not named:
            return Malformed(0, f"course: no parent or grouping is a course; {HINT}")
        placed = self._is_thing(named[0])
        if placed is None:
            return named[0]
        return PART if placed else Malformed(0, f"course: {named[0]} is a parent and itself something done; {HINT}")

    def _find_course(self, id: str) -> bool:
        return bool(self._spool.select("select 1 from known_course where id = ?", id))

    def _find_thing(self, id: str) -> int | None:
        """Tells whether statements are about the activity: 1 if one of these has a course, else 0; None: none are."""
        found: int | None = self._spool.select("select max(placed) from thing where id = ?", id)[0][0]
        return found

    def _list_courses(self, registration: str | None) -> list[str]:
        found = self._spool.select("select course from registration where id = ? order by course", registration)
        return [course for (course,) in found]
