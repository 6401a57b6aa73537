"""Holds what is known of a learner, and measures badges by it. Pure but for the query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from worker.achievements.rules import Badge, Condition
from worker.achievements.streaks import Clocks, Streak, count_streak, find_day_of_streak, find_today, gather_days
from worker.zones import find_zone

DAY = timedelta(days=1)
# Causes for which a completion that is taken back takes a revocable badge with it. Not `reset`, `course-changed` or
# `repaired`: the learner did complete the course.
REVOKING = frozenset({"learner", "imported", "waived", "recovered"})


class Completion(NamedTuple):
    """Holds what course events said of one completion of a course."""

    course_id: UUID
    number: int
    completed_at: datetime | None
    revoked_at: datetime | None
    cause: str | None  # of the revocation


class Award(NamedTuple):
    """Holds a badge that was awarded; `number` tells several awards of a revocable one apart."""

    badge: str
    number: int
    title: str
    description: str
    course_id: UUID | None
    earned_on: date
    awarded_at: datetime
    cause: str
    fresh: bool  # whether it was earned just then, so that people are told of it
    revoked_at: datetime | None


class Measure(NamedTuple):
    """Says how far a learner is on the way to a badge, and the day that made it up; None: it is not made up."""

    value: int
    target: int
    unit: str
    reached_on: date | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Holds what is known of a learner in one snapshot."""

    now: datetime  # in the learner's zone
    days: dict[date, Clocks]
    lessons: int
    lesson_times: Sequence[datetime]  # of the first lessons, in order, as many as a badge asks for
    completions: Sequence[Completion]
    percentages: dict[UUID, int]  # of the courses that badges name
    awards: Sequence[Award]
    forgives_every: int = 0

    @property
    def zone(self) -> tzinfo:
        return self.now.tzinfo or UTC

    @property
    def today(self) -> date:
        return find_today(self.days, self.now)

    @property
    def streak(self) -> Streak:
        return count_streak(self.days, self.now, self.forgives_every)

    def find_award(self, badge: str) -> Award | None:
        """Returns the award of a badge that the learner has."""
        return next((award for award in self.awards if award.badge == badge and award.revoked_at is None), None)

    def date_courses(self) -> list[tuple[datetime, UUID]]:
        """Returns when each course was completed first, in order. That one was taken back does not matter here."""
        first: dict[UUID, datetime] = {}
        for completion in self.completions:
            if completion.completed_at:
                first[completion.course_id] = min(
                    completion.completed_at, first.get(completion.course_id, completion.completed_at)
                )
        return sorted((at, course_id) for course_id, at in first.items())

    def find_day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def measure(badge: Badge, facts: Facts) -> Measure:
    """Measures how far the learner is. It only grows with facts, but for a course and a running streak."""
    if badge.when.all_of is None:
        return _measure_condition(badge.when, facts)
    parts = [_measure_condition(condition, facts) for condition in badge.when.all_of]
    reached = [part.reached_on for part in parts if part.reached_on]
    return Measure(len(reached), len(parts), "conditions", max(reached) if len(reached) == len(parts) else None)


def _measure_condition(condition: Condition, facts: Facts) -> Measure:
    if condition.streak:
        reached = find_day_of_streak(facts.days, condition.streak, facts.forgives_every)
        return Measure(condition.streak if reached else facts.streak.current, condition.streak, "days", reached)
    if condition.courses:
        return _measure_count([at for at, _ in facts.date_courses()], condition.courses, "courses", facts)
    if condition.lessons:
        return _measure_count(facts.lesson_times, condition.lessons, "lessons", facts)
    assert condition.course is not None
    done = [at for at, course_id in facts.date_courses() if course_id == condition.course]
    reached = facts.find_day(done[0]) if done else None
    return Measure(100 if done else min(99, facts.percentages.get(condition.course, 0)), 100, "percent", reached)


def _measure_count(times: Sequence[datetime], target: int, unit: str, facts: Facts) -> Measure:
    reached = facts.find_day(times[target - 1]) if len(times) >= target else None
    return Measure(min(len(times), target), target, unit, reached)


def find_standing(course_id: UUID, completions: Sequence[Completion]) -> tuple[Completion | None, int]:
    """Returns the first completion of a course that stands, and the number up to which all are taken back."""
    of_course = [completion for completion in completions if completion.course_id == course_id]
    revoked = max((c.number for c in of_course if c.revoked_at and c.cause in REVOKING), default=0)
    standing = [c for c in of_course if c.completed_at and c.number > revoked]
    return min(standing, key=lambda c: c.number, default=None), revoked


def build_facts(row: Any, forgives_every: int) -> Facts:
    """Builds the facts from the row of facts.sql.

    Without a zone that we know, instants are read in UTC, and it is the day that the learner's last clock shows.
    """
    told = list(zip(row["days"], row["utc_offsets"], strict=True))
    zone = find_zone(row["timezone"])
    clock = timezone(timedelta(minutes=told[-1][1])) if told else UTC
    return Facts(
        now=row["now"].astimezone(zone or clock),
        days=gather_days(told, row["instants"], zone or UTC),
        lessons=row["lessons"],
        lesson_times=row["lesson_times"],
        completions=[Completion(*fields) for fields in row["completions"]],
        percentages=dict(row["percentages"]),
        awards=[Award(*fields) for fields in row["awards"]],
        forgives_every=forgives_every,
    )


def is_fresh(reached_on: date, cause: str, facts: Facts) -> bool:
    """Tells whether people are to be told of an award: it was earned today or yesterday, by what the learner did."""
    return cause == "learner" and reached_on >= facts.now.date() - DAY
