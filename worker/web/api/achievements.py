"""Serves learners what they have earned: their streak, their badges, and what comes next."""

from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from worker.achievements.facts import Award
from worker.achievements.reads import Earned, NextBadge, is_new
from worker.web.api.dependencies import LearnerDep
from worker.web.api.responses import conditional_response
from worker.web.api.schemas import AS_OF, Answer, CamelModel, with_examples
from worker.web.limits import count_call
from worker.web.readers import AchievementsDep

MOST_WEEKS = 53
DAY = {"date": "2026-11-22", "active": True}
BADGE = {
    "badge": "streak-7",
    "number": 1,
    "title": "A week",
    "description": "Complete a lesson on seven days in a row.",
    "courseId": None,
    "earnedOn": "2026-11-22",
    "awardedAt": "2026-11-22T23:10:01Z",
    "cause": "learner",
    "isNew": True,
}
NEXT = {
    "badge": "streak-30",
    "title": "Thirty days",
    "description": "Complete a lesson on thirty days in a row.",
    "courseId": None,
    "value": 7,
    "target": 30,
    "unit": "days",
}
STREAK = {"current": 7, "longest": 12, "activeToday": True, "today": "2026-11-22", "days": [DAY]}

router = APIRouter(prefix="/api/achievements", tags=["achievements"], dependencies=[Depends(count_call)])


class StreakDay(CamelModel):
    """Shows a day of the learner's calendar."""

    model_config = with_examples(DAY)

    date: date
    active: bool


class StreakView(CamelModel):
    """Shows the days in a row on which the learner completed a lesson."""

    model_config = with_examples(STREAK)

    current: int = Field(description="Up to today, or to yesterday while today is not over")
    longest: int
    active_today: bool
    today: date = Field(description="On the learner's calendar")
    days: list[StreakDay] = Field(description="From a Monday to today")


class BadgeView(CamelModel):
    """Shows a badge that the learner has."""

    model_config = with_examples(BADGE)

    badge: str
    number: int = Field(description="Tells awards of one badge apart; nearly always 1")
    title: str
    description: str
    course_id: UUID | None = Field(description="Of a badge for one course")
    earned_on: date = Field(description="The day that made it up, on the learner's calendar")
    awarded_at: datetime
    cause: str = Field(description="learner; rule-changed: it was earned before the badge was declared so")
    is_new: bool = Field(description="Whether to celebrate it: earned lately, by what the learner did then")


class BadgeAnswer(Answer):
    """Tells a live stream of a badge that the learner has been awarded just now."""

    model_config = with_examples({"asOf": AS_OF, "badge": BADGE})

    badge: BadgeView


class NextBadgeView(CamelModel):
    """Shows a badge that the learner does not have, and how far they are."""

    model_config = with_examples(NEXT)

    badge: str
    title: str
    description: str
    course_id: UUID | None
    value: int = Field(description="How far the learner is; of a streak, the current one")
    target: int
    unit: Literal["days", "courses", "lessons", "percent", "conditions"]


class AchievementsAnswer(Answer):
    """Answers with the learner's streak, the badges, the latest first, and the next ones, the nearest first."""

    model_config = with_examples({"asOf": AS_OF, "streak": STREAK, "badges": [BADGE], "next": [NEXT]})

    streak: StreakView
    badges: list[BadgeView]
    next: list[NextBadgeView]


@router.get("", response_model=AchievementsAnswer)
async def get_achievements(
    request: Request,
    user: LearnerDep,
    achievements: AchievementsDep,
    weeks: Annotated[int, Query(ge=1, le=MOST_WEEKS, description="How many weeks `days` covers, with this one")] = 5,
) -> Response:
    """Returns the learner's streak with the days of the last weeks, the badges, and how far the next ones are."""
    earned = await achievements.read(user)
    answer = AchievementsAnswer(
        as_of=earned.as_of,
        streak=build_streak(earned, weeks),
        badges=[build_badge(award, earned.as_of) for award in earned.awards],
        next=[build_next(found) for found in earned.next],
    )
    return conditional_response(request, answer)


def build_streak(earned: Earned, weeks: int) -> StreakView:
    today = earned.today
    first = today - timedelta(days=today.weekday(), weeks=weeks - 1)
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    return StreakView(
        current=earned.streak.current,
        longest=earned.streak.longest,
        active_today=today in earned.days,
        today=today,
        days=[StreakDay(date=day, active=day in earned.days) for day in days],
    )


def build_badge(award: Award, as_of: datetime) -> BadgeView:
    names = BadgeView.model_fields.keys() - {"is_new"}
    return BadgeView(**{name: getattr(award, name) for name in names}, is_new=is_new(award, as_of))


def build_next(found: NextBadge) -> NextBadgeView:
    badge, measure = found
    return NextBadgeView(
        badge=badge.id,
        title=badge.title,
        description=badge.description,
        course_id=badge.when.course,
        value=measure.value,
        target=measure.target,
        unit=measure.unit,
    )
