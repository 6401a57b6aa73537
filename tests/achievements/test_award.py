"""Badges are awarded to who has earned them: each once, whatever comes, in whatever order."""

import itertools
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.models import BadgeEarned, BadgeRevoked, CourseCompleted, CourseCompletionRevoked, LessonCompleted
from tests.achievements.desk import (
    COURSE,
    DAY,
    FEW,
    NOON,
    USER,
    Desk,
    Happened,
    completed,
    lesson,
    taken_back,
)
from tests.deliveries import real_sql
from worker.achievements.facts import measure

OTHER = UUID(int=9)
THIRD = UUID(int=10)
CAUSES = ["learner", "waived", "reset", "course-changed"]
hours = st.integers(-200, 0).map(lambda hour: NOON + timedelta(hours=hour, minutes=7))
users, courses = st.sampled_from([USER, OTHER]), st.sampled_from([COURSE, COURSE, THIRD])
offsets = st.sampled_from([0, 0, 60, -480, 780])
told = st.one_of(
    st.builds(lesson, st.sampled_from("abc"), hours, offsets, user=users, course=courses),
    st.builds(lesson, st.sampled_from("abc"), hours, offsets, user=users, course=courses),
    st.builds(completed, st.integers(1, 4), hours, user=users, course=courses),
    st.builds(taken_back, st.integers(1, 4), hours, st.sampled_from(CAUSES), user=users, course=courses),
)
ZONES = ["Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin", None]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Happened], list[list[Happened]]]:
    """Draws events, and batches in which they come: each at least once, in any order."""
    happened = draw(st.lists(told, min_size=1, max_size=12, unique_by=name))
    arriving = draw(st.permutations(happened * draw(st.integers(1, 3))))
    cuts = sorted(draw(st.sets(st.integers(1, len(arriving)), max_size=4)) | {0, len(arriving)})
    return happened, [arriving[a:b] for a, b in itertools.pairwise(cuts)]


def name(happened: Happened) -> object:
    """Names what is told once: a number is completed and taken back at one time."""
    event, at, offset = happened
    if isinstance(event, LessonCompleted):
        return event.user_id, event.course_id, event.lesson_id, at, offset
    return type(event), event.user_id, event.course_id, event.completion_number


def earn(happened: list[Happened], user: UUID, zone: ZoneInfo | None) -> set[str]:
    """States naively which of the badges FEW a learner has in the end."""
    mine = [each for each in happened if each[0].user_id == user]
    lessons = [(e, at, offset) for e, at, offset in mine if isinstance(e, LessonCompleted)]
    dates: dict[date, set[int]] = {}
    for _, at, offset in lessons:
        local = at + timedelta(minutes=offset) if offset else at.astimezone(zone or UTC)
        minutes = offset or int((local.utcoffset() or timedelta()).total_seconds() // 60)
        dates.setdefault(local.date(), set()).add(minutes)
    longest = 0
    for first in dates:
        day, length = first, 1
        while True:
            if day + DAY in dates:
                day += DAY
            elif day + 2 * DAY in dates and max(dates[day + 2 * DAY]) - min(dates[day]) >= 720:
                day += 2 * DAY
            else:
                break
            length += 1
        longest = max(longest, length)
    done = [e for e, _, _ in mine if isinstance(e, CourseCompleted)]
    different = {(e.course_id, e.lesson_id) for e, _, _ in lessons}
    back = [
        e.completion_number
        for e, _, _ in mine
        if isinstance(e, CourseCompletionRevoked) and e.course_id == COURSE and e.cause in ("learner", "waived")
    ]
    found = {
        "course": bool(done),
        "two-courses": len({e.course_id for e in done}) >= 2,
        "lessons-3": len(different) >= 3,
        "streak-2": longest >= 2,
        "knots": any(e.course_id == COURSE and e.completion_number > max(back, default=0) for e in done),
        "all": longest >= 3 and bool(done) and len(different) >= 2,
    }
    return {badge for badge, holds in found.items() if holds}


@hypothesis_settings(real_sql, max_examples=120)
@given(
    delivery=deliveries(), performed=st.lists(st.booleans(), min_size=5, max_size=5), timezone=st.sampled_from(ZONES)
)
async def test_badges_are_what_the_model_says_and_each_is_announced_once(
    desk: Desk, delivery: tuple[list[Happened], list[list[Happened]]], performed: list[bool], timezone: str | None
) -> None:
    happened, batches = delivery
    await desk.empty()
    await desk.describe(timezone)

    for batch, now in zip(batches, performed, strict=False):
        before = {user: set(await desk.held(user)) - {"knots"} for user in (USER, OTHER)}
        await desk.tell(*batch)
        if now:
            await desk.perform()
        for user, held in before.items():
            assert held <= set(await desk.held(user))  # a fact takes no award that is not revocable
    await desk.perform()

    zone = ZoneInfo(timezone) if timezone else None
    assert set(await desk.held(USER)) == earn(happened, USER, zone)
    assert set(await desk.held(OTHER)) == earn(happened, OTHER, None)
    rows, announced = await desk.awards(), await desk.take_announced()
    require_announced(rows, announced)
    await desk.tell(*happened)  # as a rewind does
    await desk.perform()
    assert await desk.awards() == rows
    assert await desk.take_announced() == []


def require_announced(rows: list[dict[str, object]], announced: list[BadgeEarned | BadgeRevoked]) -> None:
    """Requires one BadgeEarned for each award, and one BadgeRevoked behind each that was taken back."""
    told = [(type(e), e.user_id, e.badge, e.number) for e in announced]
    assert len(told) == len(set(told))
    wanted = set()
    for row in rows:
        key = (row["user_id"], row["badge"], row["number"])
        wanted.add((BadgeEarned, *key))
        if row["revoked_at"] is not None:
            wanted.add((BadgeRevoked, *key))
            assert told.index((BadgeEarned, *key)) < told.index((BadgeRevoked, *key))
    assert set(told) == wanted


async def test_an_award_says_what_was_earned_and_when(desk: Desk) -> None:
    await desk.empty()
    await desk.describe("Pacific/Auckland")
    await desk.tell(completed(1, NOON - timedelta(days=3)))
    await desk.perform()

    [first, knots] = await desk.take_announced()
    assert isinstance(first, BadgeEarned)
    assert (first.badge, first.title, first.cause, first.number) == ("course", "A course", "learner", 1)
    assert first.earned_on == (NOON - timedelta(days=3)).astimezone(ZoneInfo("Pacific/Auckland")).date()
    assert (first.course_id, knots.course_id) == (None, COURSE)
    assert [row["fresh"] for row in await desk.awards()] == [False, False]  # it was three days ago


async def test_what_was_earned_now_is_new(desk: Desk) -> None:
    await desk.empty()
    await desk.tell(completed(1, datetime.now(UTC)))
    await desk.perform()

    assert {row["fresh"] for row in await desk.awards()} == {True}


async def test_a_new_rule_awards_what_was_earned_before_with_its_cause(desk: Desk) -> None:
    await desk.empty("")
    await desk.tell(*(lesson(n, NOON - timedelta(days=5)) for n in "abc"), completed(1, NOON - timedelta(days=4)))
    await desk.perform()
    assert await desk.held() == []

    assert await desk.declare(FEW) == ["all", "course", "knots", "lessons-3", "streak-2", "two-courses"]
    await desk.perform()

    assert await desk.held() == ["course", "knots", "lessons-3"]
    assert {event.cause for event in await desk.take_announced()} == {"rule-changed"}
    assert {row["fresh"] for row in await desk.awards()} == {False}
    assert await desk.declare(FEW) == []
    await desk.tell(lesson("d", NOON - timedelta(days=6)))  # late, and after the rule was tried on everybody
    await desk.perform()
    assert [event.cause for event in await desk.take_announced()] == ["learner"]


async def test_a_changed_rule_is_tried_on_everybody_in_chunks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.achievements.award.SCANNED_AT_ONCE", 2)
    await desk.empty()
    people = [UUID(int=n) for n in range(1, 8)]
    await desk.tell(*(lesson(n, NOON - DAY, user=user) for user in people for n in "ab"))
    await desk.perform()
    assert [await desk.held(user) for user in people] == [[]] * 7

    changed = await desk.declare(FEW.replace("lessons = 3", "lessons = 2"))
    await desk.perform()

    assert changed == ["lessons-3"]
    assert [await desk.held(user) for user in people] == [["lessons-3"]] * 7


async def test_a_badge_that_is_declared_no_more_stays_where_it_was_awarded(desk: Desk) -> None:
    await desk.empty()
    await desk.tell(completed(1, NOON))
    await desk.perform()

    await desk.declare("")
    await desk.tell(taken_back(1, NOON))
    await desk.perform()

    assert await desk.held() == ["course", "knots"]


async def test_a_revocable_badge_follows_its_course_under_the_number_of_the_completion(desk: Desk) -> None:
    await desk.empty()
    for happened in [completed(1, NOON), taken_back(1, NOON), completed(2, NOON), taken_back(2, NOON, "reset")]:
        await desk.tell(happened)
        await desk.perform()

    told = [(type(e).__name__, e.number) for e in await desk.take_announced() if e.badge == "knots"]
    assert told == [("BadgeEarned", 1), ("BadgeRevoked", 1), ("BadgeEarned", 2)]
    assert await desk.held() == ["course", "knots"]


async def test_a_description_that_comes_later_moves_the_days_of_instants(desk: Desk) -> None:
    """Two evenings in Los Angeles are one day and the next but one in UTC."""
    await desk.empty()
    evening = datetime(2026, 3, 1, 20, tzinfo=ZoneInfo("America/Los_Angeles"))
    for name_, at in (("a", evening - timedelta(hours=10)), ("b", evening + DAY + timedelta(hours=3))):
        await desk.tell(lesson(name_, at.astimezone(UTC)))
    await desk.perform()
    assert await desk.held() == []

    await desk.describe("America/Los_Angeles")
    await desk.perform()

    assert await desk.held() == ["streak-2"]


async def test_how_far_a_learner_is(desk: Desk) -> None:
    await desk.empty()
    today = datetime.now(UTC)
    await desk.tell(lesson("a", today), lesson("b", today), completed(1, today, course=THIRD))
    facts = await desk.facts()

    found = {badge.id: measure(badge, facts)[:3] for badge in desk.badges}

    assert found == {
        "course": (1, 1, "courses"),
        "two-courses": (1, 2, "courses"),
        "lessons-3": (2, 3, "lessons"),
        "streak-2": (1, 2, "days"),
        "knots": (0, 100, "percent"),
        "all": (2, 3, "conditions"),
    }


async def test_an_event_that_changes_nothing_plans_nothing(desk: Desk) -> None:
    await desk.empty()

    assert await desk.tell(lesson("a", NOON)) == 1  # a day more
    await desk.declare(FEW.replace("lessons = 2", "courses = 2"))
    assert await desk.tell(lesson("b", NOON)) == 0
    assert await desk.tell(lesson("c", NOON)) == 1  # the third
    assert await desk.tell(lesson("c", NOON)) == 0
