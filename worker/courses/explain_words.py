"""Writes the sentences of an explanation, in plain English."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from worker.courses.explanation import Arithmetic, Ground

CAUSES = {
    "learner": "by what the learner did",
    "waived": "by a waiver, or its withdrawal",
    "reset": "because the learner started over",
    "course-changed": "because the course changed",
    "recovered": "announced once more after lost data was recovered",
    "repaired": "by an operator's repair",
    "imported": "by imported events",
}
LISTED = 5  # ids in one sentence


def tell_time(at: datetime) -> str:
    """Writes a time to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    """Writes a number with its noun: 1 lesson, 2 lessons."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def list_ids(ids: Sequence[str]) -> str:
    """Writes ids, of many the first ones."""
    more = len(ids) - LISTED
    return ", ".join(ids[:LISTED]) + (f" and {more:,} more" if more > 0 else "")


def tell_rule(needed: int | None, required: int | None) -> str:
    """Says what completes the course; without `required`, by the events of a course that has no version."""
    if needed is None:
        return "nobody has said yet how many lessons the course has"
    if required is None:
        return f"{count(needed, 'completed lesson')}, the number that the latest event gave"
    if needed < required:
        return f"any {needed:,} of {required:,} required lessons"
    return "the one required lesson" if required == 1 else f"all {required:,} required lessons"


def tell_arithmetic(met: int, counted: int, needed: int | None, tenths: int, percentage: int) -> str:
    """Writes the steps from the lessons to the percentage; `tenths` of a percent are cut, so that they round alike."""
    if needed is None:
        return f"{met:,} of an unknown number → 0 %"
    beyond = f"{met:,} met, of which {counted:,} count; " if met > counted else ""
    exact = f" → {tenths // 10}.{tenths % 10}" if tenths % 10 else ""
    limit = ", because 100 % is for complete courses only" if percentage == 99 and tenths >= 995 else ""
    return f"{beyond}{counted:,} of {needed:,}{exact} → {percentage} %{limit}"


def tell_lesson(lesson_id: str, ground: Ground | None, taken_back_at: datetime | None, early_for: Sequence[str]) -> str:
    """Says how a learner stands to a required lesson; `ground` is the earliest."""
    if ground is None:
        return "missing" + (f": it was taken back at {tell_time(taken_back_at)}" if taken_back_at else "")
    reason = f" ({ground.reason})" if ground.reason else ""
    instead = "" if ground.lesson_id == lesson_id else f" by {ground.lesson_id}, which it replaces:"
    met = f"met{instead} {ground.kind}" if instead else ground.kind
    early = f", before its prerequisite {list_ids(early_for)}; it counts all the same" if early_for else ""
    return f"{met} at {tell_time(ground.at)}{reason}{early}"


def tell_ignored(why: str, at: datetime | None, versions: Sequence[int], reset_at: datetime | None) -> str:
    """Says why a lesson does not count."""
    started_over = f" at {tell_time(reset_at)}" if reset_at else ""
    return {
        "optional": "optional: the course is complete without it",
        "not-in-version": f"not in the version that counts; named by {list_versions(versions)}",
        "unknown": "no version of the course names it",
        "before-reset": f"waived before the learner started over{started_over}",
        "waiver-withdrawn": f"its waiver was withdrawn at {tell_time(at)}" if at else "its waiver was withdrawn",
    }[why]


def list_versions(versions: Sequence[int]) -> str:
    """Writes numbers of versions: version 1, versions 1 and 2."""
    if len(versions) < 2:
        return f"version {versions[0]}" if versions else "another version, as one that is replaced"
    *first, last = versions
    return f"versions {list_ids([str(number) for number in first])} and {last}"


def tell_version(version: int, newest: int, reason: str) -> str:
    """Says which version decides, and why."""
    if reason == "no-version":
        return "the course has no version, so the events say how many lessons it has"
    if reason == "newest":
        also = "" if version == 1 else ", because it is the newest and the learner is complete under none"
        return f"version {version}{also}"
    if version == newest:
        return f"version {version}, the newest, because the learner is complete under it"
    return f"version {version}, because the learner is complete under it, and the newest, {newest}, takes nothing back"


def tell_step(step: Mapping[str, Any], held: int | None) -> str:
    """Says what a version made of the learner: `held` is the version that they were complete under before it."""
    met = f"{step['met']:,} of {step['needed']:,} met"
    before = f"complete before, under version {held}"
    since, enough_at = step["in_force_from"], step["met_enough_at"]
    match step["verdict"]:
        case "completed" if since and enough_at < since:
            return f"complete since it came into force at {tell_time(since)}: what it needs was met before"
        case "completed":
            return f"complete since {tell_time(enough_at)}, when the last lesson that it needs was met"
        case "kept":
            return f"{before}, and this version keeps that; {met}"
        case "met-again":
            return f"{before}, and this version is met, too, so the date stays"
        case "reopened":
            return f"{before}; this version reopens the course, and {met}"
        case "late":
            return f"not complete: what it needs was met at {tell_time(enough_at)}, after the next version was in force"
        case _:
            return f"not complete: {met}"


def tell_newest(version: int, added: Sequence[str], percentage: int, arithmetic: str) -> str:
    """Says what the newest version would make of the learner."""
    verb = "was" if len(added) == 1 else "were"
    grown = f"; {count(len(added), 'lesson')} {verb} added since: {list_ids(added)}" if added else ""
    return f"by version {version}, the newest, it would be {percentage} %: {arithmetic}{grown}"


def tell_transition(
    type: Literal["CourseCompleted", "CourseCompletionRevoked"], number: int, at: datetime, version: int, cause: str
) -> str:
    """Says what was announced, when and why."""
    what = "completed" if type == "CourseCompleted" else "complete no longer"
    under = f", under version {version}" if version else ""
    return f"{what} (number {number}) at {tell_time(at)}{under}, {CAUSES.get(cause, f'as the events say: {cause}')}"


def tell_recount(version: int, seen: int, expected: int | None, *, passed: bool) -> str:
    """Says how far a recount is, and what it means for this learner."""
    of = f" of {expected:,}" if expected is not None else ""
    row = "this learner's row is done" if passed else "this learner's row may still be of before"
    return f"the course is being recounted for version {version}, {seen:,}{of} rows so far; {row}"


def tell_summary(
    arithmetic: Arithmetic, required: int | None, version: int, *,
    completed_at: datetime | None, added: int, shown: int | None, reset_at: datetime | None,
) -> str:  # fmt: skip
    """Answers the question in a few words; `shown` is the percentage of a row that disagrees."""
    said = _tell_state(arithmetic, required, version, completed_at)
    if completed_at and added:
        said += f" {count(added, 'lesson')} {'was' if added == 1 else 'were'} added since."
    if reset_at and not arithmetic.met:
        said += f" The learner started over at {tell_time(reset_at)}."
    if shown is not None:
        said += f" The stored row still says {shown} %."
    return said


def _tell_state(arithmetic: Arithmetic, required: int | None, version: int, completed_at: datetime | None) -> str:
    met, counted, needed = arithmetic.met, arithmetic.counted, arithmetic.needed
    under = f" of version {version}" if version else ""
    if needed is None:
        return f"0 %: {count(met, 'lesson')} completed, and {tell_rule(None, None)}."
    if required is None:
        since = f", complete since {tell_time(completed_at)}" if completed_at else ""
        return f"{arithmetic.percentage} %: {counted:,} of {count(needed, 'lesson')} completed{since}."
    if completed_at:
        return f"100 %: complete since {tell_time(completed_at)}, by {tell_rule(needed, required)}{under}."
    left = needed - counted
    if needed < required:
        more = f"any {left:,} more of the {required - met:,} missing will do"
        return f"{arithmetic.percentage} %: {counted:,} of {needed:,} needed lessons{under} met; {more}."
    return (
        f"{arithmetic.percentage} %: {counted:,} of {count(required, 'required lesson')}{under} met, {left:,} missing."
    )
