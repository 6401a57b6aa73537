"""Rules 18 to 20: streaks are what a naive count of dates says, wherever the learner is and however the days come."""

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.achievements.streaks import (
    Clocks,
    Streak,
    count_streak,
    cut_to_quarter,
    find_day,
    find_day_of_streak,
    gather_days,
    walk,
)

DAY = timedelta(days=1)
FIRST = date(2026, 3, 1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ZONES = sorted(available_timezones())
EXAMPLES = settings(max_examples=1500, deadline=None)

offsets = st.sampled_from([-720, -480, -60, 60, 330, 525, 720, 840])
days = st.integers(0, 40).map(lambda n: FIRST + n * DAY)
told = st.lists(st.tuples(days, offsets), max_size=40)
forgives = st.sampled_from([0, 0, 2, 3, 7])
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(2000, 1, 2), datetime(2037, 12, 30), timezones=st.just(UTC))


def is_streak(window: list[date], found: dict[date, Clocks], forgives_every: int) -> bool:
    """States rules 19 and 20 for a window of days: its missing dates are forgiven, each for itself."""
    missing = [
        day
        for day in (window[0] + n * DAY for n in range((window[-1] - window[0]).days))
        if day not in found and not skipped(day, found)
    ]
    if not forgives_every:
        return not missing
    if any(day - DAY in missing for day in missing):
        return False
    return all(later - earlier >= forgives_every * DAY for earlier in missing for later in missing if later > earlier)


def skipped(day: date, found: dict[date, Clocks]) -> bool:
    before, after = found.get(day - DAY), found.get(day + DAY)
    return before is not None and after is not None and after.highest - before.lowest >= 720


def longest(found: dict[date, Clocks], forgives_every: int, until: date | None = None) -> int:
    """Tries every window of days; with `until`, only those that end on this day."""
    order = sorted(found)
    return max(
        (
            last - first + 1
            for first in range(len(order))
            for last in range(first, len(order))
            if (until is None or order[last] == until) and is_streak(order[first : last + 1], found, forgives_every)
        ),
        default=0,
    )


@EXAMPLES
@given(told, forgives)
def test_the_longest_streak_is_the_longest_window_whose_gaps_are_forgiven(
    told: list[tuple[date, int]], forgives_every: int
) -> None:
    found = gather_days(told, [], UTC)

    assert max((length for _, length in walk(found, forgives_every)), default=0) == longest(found, forgives_every)
    for day, length in walk(found, forgives_every):
        assert length == longest(found, forgives_every, until=day)


@EXAMPLES
@given(told, forgives, st.tuples(days, offsets))
def test_a_day_more_never_shortens_a_streak(
    told: list[tuple[date, int]], forgives_every: int, more: tuple[date, int]
) -> None:
    now = datetime(2026, 4, 20, 12, tzinfo=UTC)
    before = count_streak(gather_days(told, [], UTC), now, forgives_every)
    after = count_streak(gather_days([*told, more], [], UTC), now, forgives_every)

    assert after.longest >= before.longest
    assert after.current >= before.current


@EXAMPLES
@given(told, st.lists(instants, max_size=10), zones, st.randoms())
def test_order_and_repetition_decide_nothing(
    told: list[tuple[date, int]], instants: list[datetime], zone: tzinfo, random: Random
) -> None:
    again = random.sample([*told, *told], 2 * len(told))

    assert gather_days(again, instants[::-1] + instants, zone) == gather_days(told, instants, zone)


@EXAMPLES
@given(instants, zones)
def test_a_quarter_of_an_hour_has_the_day_of_its_instants_in_every_zone(at: datetime, zone: tzinfo) -> None:
    quarter = cut_to_quarter(at)

    assert timedelta() <= at - quarter < timedelta(minutes=15)
    assert quarter.astimezone(zone).date() == at.astimezone(zone).date()


@EXAMPLES
@given(
    st.sampled_from(ZONES),
    st.integers(2001, 2036),
    st.integers(1, 360),
    st.lists(st.integers(0, 1439), min_size=3, max_size=10),
)
def test_days_in_a_row_are_a_streak_in_every_zone_through_every_change_of_clocks(
    name: str, year: int, start: int, minutes: list[int]
) -> None:
    zone = ZoneInfo(name)
    first = date(year, 1, 1) + start * DAY
    local = [
        datetime.combine(first + n * DAY, datetime.min.time(), zone) + timedelta(minutes=m)
        for n, m in enumerate(minutes)
    ]
    happened = [at.astimezone(UTC) for at in local]  # a time that a clock skips is later by what it skips
    told = [
        (at.astimezone(zone).date(), int((at.astimezone(zone).utcoffset() or timedelta()).total_seconds() // 60))
        for at in happened
    ]

    by_clock = gather_days(told, [], UTC)
    by_zone = gather_days([], map(cut_to_quarter, happened), zone)

    assert by_clock.keys() == by_zone.keys()
    assert count_streak(by_clock, happened[-1].astimezone(zone)).longest >= len({day for day, _ in told})


@pytest.mark.parametrize(
    ("offsets", "wanted"),
    [
        ([-480, 780], 2),  # from Los Angeles on Monday to Auckland on Wednesday, 25 hours later
        ([60, 780], 2),
        ([540, 600], 1),  # nobody loses a day between Tokyo and Sydney
        ([780, -480], 1),  # the way back skips no date
    ],
)
def test_only_the_date_line_skips_a_date(offsets: list[int], wanted: int) -> None:
    told = [(FIRST, offsets[0]), (FIRST + 2 * DAY, offsets[1])]

    assert count_streak(gather_days(told, [], UTC), NOON).longest == wanted


def test_a_date_that_comes_twice_on_the_way_west_counts_once() -> None:
    told = [(FIRST, 780), (FIRST, -480), (FIRST + DAY, -480)]

    assert count_streak(gather_days(told, [], UTC), NOON).longest == 2


def test_samoa_skipped_a_date_and_nobody_lost_a_streak() -> None:
    zone = ZoneInfo("Pacific/Apia")
    happened = [datetime(2011, 12, 29, 12, tzinfo=zone), datetime(2011, 12, 31, 12, tzinfo=zone)]

    assert count_streak(gather_days([], happened, zone), NOON).longest == 2


@pytest.mark.parametrize(
    ("ago", "forgives_every", "current"),
    [
        ([0, 1, 2], 0, 3),
        ([1, 2], 0, 2),  # today is not over
        ([2, 3], 0, 0),
        ([2, 3], 7, 2),  # yesterday is forgiven, if they are active today
        ([3, 4], 7, 0),
        ([0, 2, 3], 7, 3),
        ([], 7, 0),
    ],
)
def test_the_current_streak_ends_today_or_yesterday(ago: list[int], forgives_every: int, current: int) -> None:
    told = [(NOON.date() - n * DAY, 60) for n in ago]

    assert count_streak(gather_days(told, [], UTC), NOON, forgives_every).current == current


def test_a_clock_ahead_of_the_zone_may_have_been_active_tomorrow() -> None:
    told = [(NOON.date() + n * DAY, 780) for n in (0, 1)]

    assert count_streak(gather_days(told, [], UTC), NOON) == Streak(2, 2)


def test_forgiving_the_first_gap_that_comes_would_be_another_rule() -> None:
    """A day more, the 5th, would make a greedy count use up its day off there."""
    told = [(FIRST + n * DAY, 60) for n in (0, 2, 3, 6, 7, 9, 10, 11)]
    more = [*told, (FIRST + 5 * DAY, 60)]

    lengths = [count_streak(gather_days(some, [], UTC), NOON, 7).longest for some in (told, more)]

    assert lengths[0] <= lengths[1]


def test_a_streak_of_a_length_is_dated_by_the_day_that_made_it_up() -> None:
    found = gather_days([(FIRST + n * DAY, 60) for n in (0, 2, 3, 4, 5)], [], UTC)

    assert find_day_of_streak(found, 3) == FIRST + 4 * DAY
    assert find_day_of_streak(found, 5) is None


def test_the_day_of_an_instant_is_that_of_the_clock() -> None:
    at = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-8)))

    assert find_day(at, -480) == FIRST
    assert find_day(at, 0) == FIRST + DAY
