"""Writes the lines of lists that tell a learner why their percentage is what it is. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from worker.courses.explanation import Ground, IgnoredLesson, RequiredLesson, Transition

NAMED = 3  # lessons in one sentence
CAUSES = {
    "learner": "by what you did",
    "waived": "because you need not do a lesson, or need to again",
    "reset": "because you started over",
    "course-changed": "because the course changed",
    "recovered": "told once more after lost data was recovered",
    "repaired": "by a repair",
    "imported": "by what was imported",
}


@dataclass(frozen=True, slots=True)
class Words:
    """Knows how lessons are called, and in which zone days begin."""

    name: Callable[[str], str]
    zone: tzinfo

    def title(self, lesson_id: str, title: str | None = None) -> str:
        return title or self.name(lesson_id)

    def day(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%-d %b %Y}"

    def moment(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%-d %b %Y, %H:%M}"


@dataclass(frozen=True, slots=True)
class Line:
    """Says something of one lesson, or of one moment. `state` chooses its picture."""

    state: str  # met, waived, missing, ignored, completed or revoked
    title: str
    about: str


def join_names(names: Sequence[str], number: int) -> str:
    """Writes `“A”, “B” and 3 more`; `number` says how many there are, of which `names` may lack some."""
    quoted = [f"“{name}”" for name in names[:NAMED]]
    more = number - len(quoted)
    *first, last = [*quoted, f"{more:,} more"] if more else quoted
    return f"{', '.join(first)} and {last}" if first else last


def tell_lesson(lesson: RequiredLesson, words: Words) -> Line:
    title = words.title(lesson.lesson_id, lesson.title)
    if not lesson.grounds:
        back = f"Taken back on {words.moment(lesson.taken_back_at)}" if lesson.taken_back_at else "Not done yet"
        return Line("missing", title, back)
    ground = lesson.grounds[0]
    early = ""
    if lesson.before_prerequisites:
        before = join_names([words.title(id) for id in lesson.before_prerequisites], len(lesson.before_prerequisites))
        early = f", before {before}, which it requires; it counts all the same"
    state = "waived" if ground.kind == "waived" else "met"
    return Line(state, title, tell_ground(lesson.lesson_id, ground, words) + early)


def tell_ground(lesson_id: str, ground: Ground, words: Words) -> str:
    day = words.day(ground.at)
    reason = f" ({ground.reason})" if ground.reason else ""
    what = f"You need not do it, since {day}{reason}" if ground.kind == "waived" else f"Done on {day}"
    return what if ground.lesson_id == lesson_id else f"{what}, as “{words.title(ground.lesson_id)}”, which it replaces"


def tell_ignored(lesson: IgnoredLesson, words: Words, reset_at: datetime | None) -> Line:
    since = f" on {words.day(lesson.at)}" if lesson.at else ""
    over = f" on {words.day(reset_at)}" if reset_at else ""
    versions = f" (it was in version {', '.join(map(str, lesson.versions))})" if lesson.versions else ""
    why = {
        "optional": "Optional: the course is complete without it",
        "not-in-version": f"Not in the version that counts for you{versions}",
        "unknown": "The course does not have this lesson",
        "before-reset": f"Waived before you started over{over}",
        "waiver-withdrawn": f"You need to do it again: its waiver was withdrawn{since}",
    }[lesson.why]
    return Line("ignored", words.title(lesson.lesson_id, lesson.title), why)


def tell_transition(transition: Transition, words: Words) -> Line:
    completed = transition.type == "CourseCompleted"
    version = f" of version {transition.course_version}" if transition.course_version else ""
    cause = CAUSES.get(transition.cause, f"as was told: {transition.cause}")
    what = f"Course completed{version}" if completed else f"No longer complete{version}"
    return Line("completed" if completed else "revoked", what, f"{words.moment(transition.at)}, {cause}")
