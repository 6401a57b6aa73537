"""Names the simulated courses and their lessons, for the pages."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from worker.courses.catalog import Lesson
from worker.demo.player import COURSES, Course
from worker.web.pages.formatting import name_course

NAMES: Mapping[str, str] = {
    "Fire safety": "Leave, call, wait",
    "Touch typing": "The home row; The upper row; The lower row; Numbers and signs",
    "Baking bread": "Flour and water; Sourdough; Kneading; First proof; Shaping; Scoring; Into the oven",
    "First aid": "Stay safe; Call for help; Breathing; CPR; Recovery position; Bleeding; Burns; Shock; Fractures",
    "Chess openings": "Why openings; The centre; Italian Game; Ruy Lopez; Scotch Game; Sicilian; French; Caro-Kann; "
    "Queen's Gambit; Slav; King's Indian; English",
}


class DemoCatalog:
    """Names the demo's courses and lessons, as a `Catalog` (worker/courses/catalog.py)."""

    def __init__(self) -> None:
        self._courses = {course.id: course for course in COURSES}
        self._lessons = {course.id: name_lessons(course) for course in COURSES}

    def title(self, course_id: UUID) -> str:
        course = self._courses.get(course_id)
        return name_course(course.title if course else None, course_id)

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        return self._lessons.get(course_id)


def name_lessons(course: Course) -> list[Lesson]:
    """Names a course's lessons; those of a course that is not in NAMES are numbered."""
    names = NAMES[course.title].split("; ") if course.title in NAMES else []
    names = names or [f"Lesson {number}" for number in range(1, course.lessons + 1)]
    return [Lesson(course.lesson(number), name) for number, name in enumerate(names, start=1)]
