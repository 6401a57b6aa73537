"""Explains how far a learner is in a course, and why: rules 3 and 8 to 11 of docs/rules.md, each with its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.courses import explain_words as words
from worker.courses.explain_facts import Facts, RecountFact, TransitionFact, Version
from worker.courses.explain_lessons import (
    Learner,
    compare_newest,
    compute,
    compute_numbers,
    describe_ignored,
    describe_lesson,
    describe_lessons,
    find_naming,
)
from worker.courses.explain_versions import judge_versions
from worker.courses.explanation import (
    Arithmetic,
    ChosenVersion,
    Explanation,
    IgnoredLesson,
    NewestSays,
    Reason,
    Recounting,
    RequiredLesson,
    StoredRow,
    Transition,
    VersionStep,
)

MOST_IGNORED = 300


def explain(facts: Facts) -> Explanation:
    """Explains the facts. Depends on nothing else, and reads no clock."""
    return explain_versions(facts) if facts.versions else explain_events(facts)


def explain_versions(facts: Facts) -> Explanation:
    """Explains progress in a course that has versions (rules 8 to 11)."""
    learner = Learner(facts)
    steps, held = judge_versions(facts.versions, {v.version: learner.meet(v) for v in facts.versions})
    newest = facts.versions[-1]
    version = next(v for v in facts.versions if v.version == (held.version if held else newest.version))
    lessons = describe_lessons(learner, version)
    ignored = describe_ignored(learner, version)
    named = find_naming(facts)
    unnamed = sum(lesson.completed and lesson.lesson_id not in named for lesson in facts.lessons)
    return conclude(
        facts,
        Result(
            version=choose(version, newest.version, "complete" if held else "newest"),
            rule=words.tell_rule(version.needed, len(version.required)),
            completed_at=held.completed_at if held else None,
            arithmetic=compute(lessons, version.needed),
            lessons=lessons,
            not_counting=ignored[:MOST_IGNORED],
            more_not_counting=len(ignored[MOST_IGNORED:]) + max(0, facts.unnamed_completed - unnamed),
            versions=steps,
            newest=compare_newest(learner, version, newest) if version is not newest else None,
        ),
        required=len(version.required),
    )


def explain_events(facts: Facts) -> Explanation:
    """Explains progress in a course without a version, whose events say how many lessons it has (rules 2 to 4)."""
    learner = Learner(facts)
    row = facts.row
    lessons = [describe_lesson(learner, id, None) for id, lesson in learner.lessons.items() if lesson.completed]
    more = max(0, facts.unnamed_completed - sum(lesson.completed for lesson in facts.lessons))
    met = len(lessons) + more
    needed = row.total_lessons if row else None
    complete = needed is not None and met >= needed
    ignored = describe_ignored(learner, None)
    return conclude(
        facts,
        Result(
            version=choose(None, 0, "no-version"),
            rule=words.tell_rule(needed, None),
            completed_at=row.completed_at if row and complete else None,
            arithmetic=compute_numbers(met, met, 0, needed),
            lessons=lessons,
            more_lessons=more,
            not_counting=ignored[:MOST_IGNORED],
            more_not_counting=len(ignored[MOST_IGNORED:]),
        ),
        required=None,
    )


def choose(version: Version | None, newest: int, reason: Reason) -> ChosenVersion:
    number = version.version if version else 0
    return ChosenVersion(
        version=number,
        newest=newest,
        title=version.title if version else None,
        published_at=version.published_at if version else None,
        reason=reason,
        sentence=words.tell_version(number, newest, reason),
    )


@dataclass(frozen=True, slots=True)
class Result:
    """Holds what the rules make of the facts."""

    version: ChosenVersion
    rule: str
    completed_at: datetime | None
    arithmetic: Arithmetic
    lessons: list[RequiredLesson]
    not_counting: list[IgnoredLesson]
    more_not_counting: int
    more_lessons: int = 0
    versions: Sequence[VersionStep] = ()
    newest: NewestSays | None = None


def conclude(facts: Facts, result: Result, *, required: int | None) -> Explanation:
    """Compares the result with the stored row, and adds what else there is to know."""
    row = show_row(facts)
    agrees = is_same(row, result)
    reset_at = facts.row.reset_at if facts.row else None
    return Explanation(
        user_id=facts.user_id,
        course_id=facts.course_id,
        summary=words.tell_summary(
            result.arithmetic,
            required,
            result.version.version,
            completed_at=result.completed_at,
            added=len(result.newest.added) if result.newest else 0,
            shown=row.progress_percentage if row and row.progress_percentage != result.arithmetic.percentage else None,
            reset_at=reset_at,
        ),
        row=row,
        agrees=agrees,
        version=result.version,
        rule=result.rule,
        completed_at=result.completed_at,
        arithmetic=result.arithmetic,
        lessons=result.lessons,
        more_lessons=result.more_lessons,
        not_counting=result.not_counting,
        more_not_counting=result.more_not_counting,
        reset_at=reset_at,
        versions=list(result.versions),
        newest=result.newest,
        transitions=[describe_transition(transition) for transition in facts.transitions],
        more_transitions=max(0, facts.transitions_known - len(facts.transitions)),
        recount=describe_recount(facts.recount) if facts.recount else None,
        deleted_at=facts.deleted_at,
    )


def show_row(facts: Facts) -> StoredRow | None:
    """Returns the row as readers see it; None where they see none."""
    row = facts.row
    if row is None or row.last_accessed_at is None:
        return None
    return StoredRow(**{name: getattr(row, name) for name in StoredRow.model_fields})


def is_same(row: StoredRow | None, result: Result) -> bool:
    """Tells whether the row says what the rules make of the facts; no row says 0 %."""
    found = result.arithmetic
    if row is None:
        return not found.counted
    stored = (row.course_version, row.lessons_completed, row.total_lessons, row.progress_percentage, row.completed_at)
    computed = (result.version.version, found.counted, found.needed, found.percentage, result.completed_at)
    return stored == computed and row.lessons_waived == found.waived


def describe_transition(fact: TransitionFact) -> Transition:
    sentence = words.tell_transition(
        fact.type, fact.completion_number, fact.occurred_at, fact.course_version, fact.cause
    )
    return Transition(
        type=fact.type,
        completion_number=fact.completion_number,
        at=fact.occurred_at,
        course_version=fact.course_version,
        cause=fact.cause,
        recorded_at=fact.recorded_at,
        sentence=sentence,
    )


def describe_recount(fact: RecountFact) -> Recounting:
    sentence = words.tell_recount(fact.version, fact.rows_seen, fact.rows_expected, passed=fact.passed)
    return Recounting(
        version=fact.version,
        started_at=fact.started_at,
        rows_seen=fact.rows_seen,
        rows_expected=fact.rows_expected,
        passed=fact.passed,
        sentence=sentence,
    )
