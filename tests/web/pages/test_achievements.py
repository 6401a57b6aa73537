"""The card of a learner's streak and badges says what they have earned, and shows old awards as old."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from worker.achievements.facts import Award, Measure
from worker.achievements.reads import BadgeCount, Earned, NextBadge
from worker.achievements.rules import parse_badges, read_badges
from worker.achievements.streaks import Streak
from worker.web.pages.achievements import (
    MOST_BADGES,
    MOST_COMING,
    Emblem,
    build_achievements_card,
    build_badge_lines,
    choose_emblem,
    describe_measure,
)

TODAY = date(2026, 11, 18)  # a Wednesday
NOW = datetime(2026, 11, 18, 20, tzinfo=UTC)
DAY = timedelta(days=1)
OURS = read_badges(None)
NONE = Streak(0, 0)


def award(badge: str = "streak-7", *, fresh: bool = True, course: UUID | None = None, title: str = "A week") -> Award:
    return Award(badge, 1, title, "Do.", course, TODAY, NOW - DAY, "learner", fresh, None)


def earn(days: Iterable[date] = (), awards: Iterable[Award] = (), streak: Streak = NONE) -> Earned:
    coming = tuple(NextBadge(badge, Measure(1, 30, "days", None)) for badge in OURS)
    return Earned(NOW, TODAY, streak, frozenset(days), tuple(awards), coming)


def test_who_has_done_nothing_sees_no_card() -> None:
    assert build_achievements_card(earn(), OURS) is None


def test_the_calendar_has_five_weeks_from_monday_and_says_them_in_words() -> None:
    card = build_achievements_card(earn([TODAY, TODAY - DAY, TODAY - 9 * DAY], streak=Streak(2, 2)), OURS)

    assert card is not None
    assert [len(week.days) for week in card.weeks] == [7] * 5
    assert card.weeks[0].days[0] == (19, "missed")
    assert [state for _, state in card.weeks[-1].days] == [
        *("missed", "active", "active", "to-come", "to-come", "to-come", "to-come")
    ]
    assert [week.said for week in card.weeks[-2:]] == [
        "Week of 9 November: Monday",
        "Week of 16 November: Tuesday, Wednesday",
    ]
    assert card.weeks[0].said == "Week of 19 October: none"


@pytest.mark.parametrize(
    ("days", "streak", "advice"),
    [
        ([TODAY], Streak(1, 4), "Today counts already."),
        ([TODAY - DAY], Streak(1, 4), "A lesson today makes it one more."),
        ([TODAY - 3 * DAY], Streak(0, 4), "A lesson today begins a new one."),
    ],
)
def test_it_says_what_today_is_worth(days: list[date], streak: Streak, advice: str) -> None:
    card = build_achievements_card(earn(days, streak=streak), OURS)

    assert card is not None
    assert (card.current, card.longest, card.advice) == (streak.current, 4, advice)
    assert card.days == ("day in a row" if streak.current == 1 else "days in a row")


def test_only_what_was_earned_lately_is_new_and_what_has_no_room_is_folded() -> None:
    awards = [award(), award("streak-30", fresh=False), *(award(f"other-{n}") for n in range(MOST_BADGES))]

    card = build_achievements_card(earn(awards=awards), OURS)

    assert card is not None
    assert [badge.is_new for badge in card.badges[:2]] == [True, False]
    assert (len(card.badges), len(card.further), len(card.coming)) == (MOST_BADGES, 2, MOST_COMING)
    assert len({badge.key for badge in [*card.badges, *card.further]}) == len(awards)
    assert card.badges[0].day == "18 November 2026"


def test_a_badge_has_a_shape_by_what_decides_also_one_that_is_declared_no_more() -> None:
    course = UUID(int=5)
    declared = parse_badges(
        f'[knots]\ntitle="K"\ndescription="d"\nwhen={{course="{course}"}}\n'
        '[both]\ntitle="B"\ndescription="d"\nwhen={all_of=[{streak=3},{courses=2}]}'
    )
    card = build_achievements_card(earn(awards=[award("gone"), award("gone-too", course=course)]), OURS)

    assert [choose_emblem(badge) for badge in OURS] == [
        Emblem("courses"),
        Emblem("courses", "5"),
        Emblem("lessons", "100"),
        Emblem("streak", "7"),
        Emblem("streak", "30"),
    ]
    assert [choose_emblem(badge).shape for badge in declared] == ["course", "star"]
    assert card is not None
    assert [badge.emblem.shape for badge in card.badges] == ["star", "course"]


def test_counts_of_learners_are_rounded_and_never_single_one_out() -> None:
    counts = [BadgeCount("A", None, 1234), BadgeCount("B", UUID(int=1), 5), BadgeCount("C", None, 4)]

    assert [(line.title, line.learners) for line in build_badge_lines(counts)] == [
        ("A", "1,230"),
        ("B", "5"),
        ("C", "fewer than 5"),
    ]


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (Measure(12, 30, "days", None), "12 of 30 days"),
        (Measure(0, 1, "courses", None), "0 of 1 course"),
        (Measure(1234, 2000, "lessons", None), "1,234 of 2,000 lessons"),
        (Measure(62, 100, "percent", None), "62%"),
        (Measure(1, 2, "conditions", None), "1 of 2 conditions"),
    ],
)
def test_how_far_is_said_in_words(measure: Measure, said: str) -> None:
    assert describe_measure(measure) == said
