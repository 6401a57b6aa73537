"""Tells a learner why their percentage is what it is, from an explanation and in a learner's words. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from uuid import UUID

from worker.courses.explanation import Explanation, IgnoredLesson
from worker.courses.outlines import Outline, find_next
from worker.courses.prerequisites import describe_missing
from worker.web.pages.catalog import CourseCatalog
from worker.web.pages.formatting import name_lesson, plural
from worker.web.pages.tiles import describe_courses
from worker.web.pages.why_lines import Line, Words, join_names, tell_ignored, tell_lesson, tell_transition

MOST_LINES = 200  # in one list
IGNORED = {  # of one lesson, and of several
    "optional": ("is optional and does not count", "are optional and do not count"),
    "not-in-version": ("is not in the version that counts", "are not in the version that counts"),
    "unknown": ("is no lesson of this course", "are no lessons of this course"),
    "before-reset": ("was waived before you started over", "were waived before you started over"),
    "waiver-withdrawn": ("is to be done again", "are to be done again"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """Lists lessons or dates under a title; `hidden` are those for which the page has no room."""

    title: str
    lines: tuple[Line, ...]
    hidden: int = 0
    noun: str = "more lesson"
    unfolded: bool = False


@dataclass(frozen=True, slots=True)
class WhyPage:
    """Holds what the page and the panel show."""

    id: UUID
    title: str
    percent: int
    answer: str
    sums: tuple[str, ...]  # the steps of the arithmetic, the percentage last
    capped: bool  # the percentage would round to 100
    notes: tuple[str, ...]  # what may make the figures change, or has
    answers: tuple[tuple[str, str], ...]  # questions and answers
    listings: tuple[Listing, ...]
    zone: str


def build_why_page(explanation: Explanation, catalog: CourseCatalog, zone: tzinfo) -> WhyPage:
    course = explanation.course_id
    names = {lesson.id: lesson.title for lesson in catalog.lessons(course) or ()}
    words = Words(lambda id: names.get(id) or name_lesson(id), zone)
    found = explanation.arithmetic
    return WhyPage(
        id=course,
        title=catalog.title(course),
        percent=explanation.row.progress_percentage if explanation.row else found.percentage,
        answer=tell_answer(explanation, words),
        sums=build_sums(explanation),
        capped=explanation.completed_at is None and found.exact >= 99.5,
        notes=tuple(list_notes(explanation, words)),
        answers=tuple(list_answers(explanation, catalog.outline(course), words)),
        listings=tuple(listing for listing in list_lines(explanation, words) if listing.lines or listing.hidden),
        zone=str(zone),
    )


def tell_answer(explanation: Explanation, words: Words) -> str:
    """Answers the question in one or two sentences."""
    found = explanation.arithmetic
    if found.needed is None:
        return "Nobody has said yet how many lessons this course has, so it stays at 0%."
    said = f"{found.counted:,} of the {plural(found.needed, 'lesson')}"
    if explanation.completed_at is not None:
        return f"You completed this course on {words.day(explanation.completed_at)}, with {said} that it needed."
    left = found.needed - found.counted
    if found.counted == 0:
        return f"You have none of the {plural(found.needed, 'lesson')} that this course needs yet."
    are = "is" if left == 1 else "are"
    rest = f"Any {left:,} more will do." if is_choice(explanation) else f"{left:,} {are} left."
    waived = f" {found.waived:,} of them you need not do." if found.waived else ""
    return f"You have {said} that this course needs.{waived} {rest}"


def is_choice(explanation: Explanation) -> bool:
    """Tells whether some of the required lessons are enough."""
    needed = explanation.arithmetic.needed
    return bool(explanation.version.version) and needed is not None and needed < len(explanation.lessons)


def build_sums(explanation: Explanation) -> tuple[str, ...]:
    found = explanation.arithmetic
    if found.needed is None:
        return ()
    exact = (f"{found.exact:.1f}%",) if found.exact != found.percentage else ()
    return (f"{found.counted:,} of {found.needed:,}", *exact, f"{found.percentage}%")


def list_notes(explanation: Explanation, words: Words) -> list[str]:
    notes = []
    if explanation.recount is not None:
        yours = "yours are done" if explanation.recount.passed else "yours may still be those of before"
        version = explanation.recount.version
        notes.append(f"The course has changed, and figures are being counted again for version {version}: {yours}.")
    elif not explanation.agrees:
        percent = explanation.arithmetic.percentage
        notes.append(f"Your figures are being brought up to date: by what stands here they are {percent}%.")
    if explanation.reset_at is not None:
        day = words.moment(explanation.reset_at)
        notes.append(f"You started over on {day}. What was done before does not count.")
    if explanation.deleted_at is not None:
        notes.append(f"This course is no longer offered since {words.day(explanation.deleted_at)}.")
    return notes


def list_answers(explanation: Explanation, outline: Outline | None, words: Words) -> list[tuple[str, str]]:
    """Answers what learners ask; questions that do not arise are left out."""
    asked: list[tuple[str, Callable[[], str]]] = [
        ("Why is it not complete, with all these ticks?", lambda: tell_incomplete(explanation, words)),
        ("Why is it complete, with a lesson missing?", lambda: tell_complete(explanation, words)),
        ("Why did the course grow?", lambda: tell_growth(explanation, words)),
        ("What completes it?", lambda: tell_rule(explanation)),
        ("Which version counts?", lambda: tell_version(explanation, words)),
        ("What next?", lambda: tell_next(explanation, outline)),
    ]
    answers = [(question, answer()) for question, answer in asked]
    return [(question, answer) for question, answer in answers if answer]


def tell_incomplete(explanation: Explanation, words: Words) -> str:
    """Tells what is missing where something is done that does not count, or was done too late."""
    if explanation.completed_at is not None or explanation.arithmetic.needed is None:
        return ""
    said = [tell_ignored_together(why, lessons, words) for why, lessons in group_ignored(explanation.not_counting)]
    late = [step for step in explanation.versions if step.verdict == "late"]
    if late:
        step = late[-1]
        ended = f" on {words.moment(step.in_force_until)}" if step.in_force_until else ""
        said.append(f"What version {step.version} needs you had only after the next version came{ended}.")
    missing = sum(not lesson.grounds for lesson in explanation.lessons)
    if said and missing:
        said.append(f"{plural(missing, 'required lesson')} {'is' if missing == 1 else 'are'} missing.")
    return " ".join(said)


def group_ignored(lessons: Sequence[IgnoredLesson]) -> list[tuple[str, list[IgnoredLesson]]]:
    """Groups what is done, or was waived, and does not count, by why it does not."""
    return [(why, found) for why in IGNORED if (found := [lesson for lesson in lessons if lesson.why == why])]


def tell_ignored_together(why: str, lessons: Sequence[IgnoredLesson], words: Words) -> str:
    """Says in one sentence why these lessons do not count."""
    names = join_names([words.title(lesson.lesson_id, lesson.title) for lesson in lessons], len(lessons))
    return f"{names} {IGNORED[why][len(lessons) > 1]}."


def tell_complete(explanation: Explanation, words: Words) -> str:
    """Tells why a course is complete of which lessons are open."""
    if explanation.completed_at is None or not explanation.version.version:
        return ""
    newest = explanation.newest
    if newest is not None and any(not lesson.grounds for lesson in newest.lessons):
        number = explanation.version.version
        return (
            f"You completed version {number} on {words.day(explanation.completed_at)}, and later versions take nothing "
            f"back. By version {newest.version}, the newest, you would be at {newest.arithmetic.percentage}%: "
            f"{newest.arithmetic.counted:,} of {newest.arithmetic.needed:,}."
        )
    open_lessons = sum(not lesson.grounds for lesson in explanation.lessons)
    if not open_lessons:
        return tell_waived(explanation, words)
    needed, required = explanation.arithmetic.needed, len(explanation.lessons)
    return f"Any {needed:,} of its {required:,} required lessons complete it, so {open_lessons:,} may stay open."


def tell_waived(explanation: Explanation, words: Words) -> str:
    """Tells which lessons count though the learner has not completed them; empty for none."""
    waived = [lesson for lesson in explanation.lessons if lesson.state == "waived"]
    if not waived:
        return ""
    names = join_names([words.title(lesson.lesson_id, lesson.title) for lesson in waived], len(waived))
    return f"You need not do {names}: {'it counts' if len(waived) == 1 else 'they count'} as done."


def tell_growth(explanation: Explanation, words: Words) -> str:
    """Tells what a later version added to a course that the learner has completed, or is in."""
    newest = explanation.newest
    if newest is not None and newest.added:
        names = {lesson.lesson_id: lesson.title for lesson in newest.lessons}
        added = join_names([words.title(id, names.get(id)) for id in newest.added], len(newest.added))
        published = explanation.versions[-1].published_at
        were = "was" if len(newest.added) == 1 else "were"
        return (
            f"{added} {were} added by version {newest.version} on {words.day(published)}. "
            "Your completion, and a certificate if you have one, stay as they are."
        )
    if explanation.completed_at is None and len(explanation.versions) > 1:
        before, now = explanation.versions[-2:]
        if now.needed > before.needed:
            return (
                f"Version {now.version} of {words.day(now.published_at)} needs {plural(now.needed, 'lesson')}; "
                f"version {before.version} needed {before.needed:,}."
            )
    return ""


def tell_rule(explanation: Explanation) -> str:
    needed = explanation.arithmetic.needed
    if needed is None:
        return ""
    if not explanation.version.version:
        return f"{plural(needed, 'lesson')}: so many does the course have, as your player said last."
    required = len(explanation.lessons)
    if needed < required:
        return f"Any {needed:,} of its {required:,} required lessons."
    return "Its one required lesson." if required == 1 else f"All {required:,} required lessons."


def tell_version(explanation: Explanation, words: Words) -> str:
    version = explanation.version
    if version.published_at is None:
        return ""
    published = f"Version {version.version}, published on {words.day(version.published_at)}"
    if version.reason == "complete" and version.version != version.newest:
        return f"{published}, because you completed it. Version {version.newest} is newer, and takes nothing back."
    return f"{published}: the newest."


def tell_next(explanation: Explanation, outline: Outline | None) -> str:
    following = find_next(outline)
    if following.lesson is not None:
        return f"“{following.lesson.title or name_lesson(following.lesson.id)}”."
    if following.reason == "course-locked":
        return f"{describe_courses(following.missing_courses)}: it opens this course."
    if following.reason == "locked":
        return f"{describe_missing(following.missing)}: it opens the next lesson."
    if explanation.completed_at is not None:
        return "Nothing: you are done."
    return "Any lesson that is not ticked." if explanation.arithmetic.needed is not None else ""


def list_lines(explanation: Explanation, words: Words) -> list[Listing]:
    """Lists the lessons that count, those that are missing or do not count, and what was announced when."""
    met = [lesson for lesson in explanation.lessons if lesson.grounds]
    missing = [lesson for lesson in explanation.lessons if not lesson.grounds]
    newest = [lesson for lesson in (explanation.newest.lessons if explanation.newest else ()) if not lesson.grounds]
    return [
        cut("Missing", [tell_lesson(lesson, words) for lesson in missing], unfolded=explanation.completed_at is None),
        cut("Done, and it counts", [tell_lesson(lesson, words) for lesson in met], explanation.more_lessons),
        cut(
            "Done, and it does not count",
            [tell_ignored(lesson, words, explanation.reset_at) for lesson in explanation.not_counting],
            explanation.more_not_counting,
        ),
        cut("Missing in the newest version", [tell_lesson(lesson, words) for lesson in newest]),
        cut(
            "What happened when",
            [tell_transition(transition, words) for transition in explanation.transitions],
            explanation.more_transitions,
            "earlier change",
        ),
    ]


def cut(
    title: str, lines: Sequence[Line], more: int = 0, noun: str = "more lesson", *, unfolded: bool = False
) -> Listing:
    shown = tuple(lines[:MOST_LINES])
    return Listing(title, shown, more + len(lines) - len(shown), noun, unfolded)
