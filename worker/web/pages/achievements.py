"""Builds what "My learning" shows of a learner's streak and badges. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from worker.achievements.facts import Award, Measure
from worker.achievements.reads import BadgeCount, Earned, NextBadge
from worker.achievements.rules import Badge
from worker.courses.anonymity import K, round_down
from worker.web.pages.formatting import plural

WEEKS = 5
MOST_BADGES, MOST_COMING = 6, 3  # at once; further badges are folded
UNITS = {"days": "day", "courses": "course", "lessons": "lesson", "conditions": "condition"}
DAY = timedelta(days=1)
FEW = f"fewer than {K}"


@dataclass(frozen=True, slots=True)
class Emblem:
    """Names the shape of a badge (badges.html), and what stands on it."""

    shape: str  # courses, lessons, streak, course or star
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Week:
    """Shows a week of the learner's calendar: of each day its number and state (badges.html)."""

    days: tuple[tuple[int, str], ...]
    said: str  # for whoever does not see it


@dataclass(frozen=True, slots=True)
class EarnedBadge:
    """Shows a badge that the learner has."""

    key: str  # tells this award from all others, also of other learners
    title: str
    description: str
    day: str
    emblem: Emblem
    is_new: bool


@dataclass(frozen=True, slots=True)
class ComingBadge:
    """Shows a badge that the learner does not have, and how far they are."""

    title: str
    description: str
    emblem: Emblem
    value: int
    target: int
    said: str


@dataclass(frozen=True, slots=True)
class AchievementsCard:
    """Shows what a learner has earned, and what comes next."""

    current: int
    longest: int
    advice: str
    weeks: tuple[Week, ...]
    badges: tuple[EarnedBadge, ...]
    further: tuple[EarnedBadge, ...]
    coming: tuple[ComingBadge, ...]

    @property
    def days(self) -> str:
        return f"{'day' if self.current == 1 else 'days'} in a row"


@dataclass(frozen=True, slots=True)
class BadgeLine:
    """Shows how many learners have a badge, in fives."""

    title: str
    course_id: UUID | None  # of a badge for one course
    learners: str


def build_badge_lines(counts: Iterable[BadgeCount]) -> list[BadgeLine]:
    return [
        BadgeLine(found.title, found.course_id, f"{round_down(found.learners):,}" if found.learners >= K else FEW)
        for found in counts
    ]


def build_achievements_card(earned: Earned, declared: Sequence[Badge]) -> AchievementsCard | None:
    """Builds the card; None for a learner who has done nothing that counts yet."""
    if not earned.days and not earned.awards:
        return None
    emblems = {badge.id: choose_emblem(badge) for badge in declared}
    badges = tuple(build_badge(earned, award, emblems) for award in earned.awards)
    return AchievementsCard(
        current=earned.streak.current,
        longest=earned.streak.longest,
        advice=advise(earned),
        weeks=build_weeks(earned),
        badges=badges[:MOST_BADGES],
        further=badges[MOST_BADGES:],
        coming=tuple(build_coming(found, emblems) for found in earned.next[:MOST_COMING]),
    )


def choose_emblem(badge: Badge) -> Emblem:
    """Chooses a shape by what decides, so that badges that a website declares have one, too."""
    when = badge.when
    if when.streak:
        return Emblem("streak", str(when.streak))
    if when.courses:
        return Emblem("courses", str(when.courses) if when.courses > 1 else "")
    if when.lessons:
        return Emblem("lessons", str(when.lessons))
    return Emblem("course" if when.course else "star")


def advise(earned: Earned) -> str:
    if not earned.streak.current:
        return "A lesson today begins a new one."
    if earned.today in earned.days:
        return "Today counts already."
    return "A lesson today makes it one more."


def build_weeks(earned: Earned) -> tuple[Week, ...]:
    """Builds the last weeks, from Mondays, the present one last."""
    monday = earned.today - DAY * earned.today.weekday()
    return tuple(build_week(earned, monday - DAY * 7 * ago) for ago in range(WEEKS - 1, -1, -1))


def build_week(earned: Earned, monday: date) -> Week:
    days = [monday + DAY * n for n in range(7)]
    active = [f"{day:%A}" for day in days if day in earned.days]
    return Week(
        tuple((day.day, choose_state(earned, day)) for day in days),
        f"Week of {monday:%-d %B}: {', '.join(active) or 'none'}",
    )


def choose_state(earned: Earned, day: date) -> str:
    if day in earned.days:
        return "active"
    return "missed" if day < earned.today else "today" if day == earned.today else "to-come"


def build_badge(earned: Earned, award: Award, emblems: Mapping[str, Emblem]) -> EarnedBadge:
    return EarnedBadge(
        key=f"{award.badge}-{award.number}-{award.awarded_at.timestamp():.6f}",
        title=award.title,
        description=award.description,
        day=f"{award.earned_on:%-d %B %Y}",
        emblem=emblems.get(award.badge) or Emblem(choose_shape(award.course_id)),
        is_new=earned.is_new(award),
    )


def choose_shape(course_id: UUID | None) -> str:
    """Chooses the shape of a badge that is declared no more."""
    return "course" if course_id else "star"


def build_coming(found: NextBadge, emblems: Mapping[str, Emblem]) -> ComingBadge:
    badge, measure = found
    return ComingBadge(
        badge.title, badge.description, emblems[badge.id], measure.value, measure.target, describe_measure(measure)
    )


def describe_measure(measure: Measure) -> str:
    """Writes `12 of 30 days`, or `62%`."""
    if measure.unit == "percent":
        return f"{measure.value}%"
    return f"{measure.value:,} of {plural(measure.target, UNITS[measure.unit])}"
