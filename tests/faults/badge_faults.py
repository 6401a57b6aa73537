"""Plays badges through what befalls effects: each is awarded, and announced once, whatever comes however often."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from events.models import BadgeEarned, CourseCompleted, CourseEvent, LessonCompleted
from tests.faults.comparison import records_of
from tests.faults.effects_faults import (
    DELIVERIES,
    announce,
    copy,
    deliver,
    delivered_lessons,
    describe_learners,
    read_events,
    rewind_effects,
    start_effects,
    wait_until_performed,
)
from tests.faults.fault import fault
from tests.faults.scene import Scene
from worker.decode import decode_completed_lesson
from worker.stream.outcome import Occurrence, Record

DAY = timedelta(days=1)


def find_earned(lessons: Iterable[Record], announced: Iterable[CourseEvent]) -> set[tuple[UUID, str]]:
    """States naively who has earned which of our own badges, of learners whose time zones nobody knows."""
    courses: dict[UUID, set[UUID]] = defaultdict(set)
    studied: dict[UUID, set[tuple[UUID, str]]] = defaultdict(set)
    days: dict[UUID, set[date]] = defaultdict(set)
    for event in announced:
        if isinstance(event, CourseCompleted):
            courses[event.user_id].add(event.course_id)
    for record in lessons:
        told = decode_completed_lesson(record)
        if isinstance(told, Occurrence) and isinstance(told.event, LessonCompleted):
            studied[told.event.user_id].add((told.event.course_id, told.event.lesson_id))
            days[told.event.user_id].add((told.occurred_at + timedelta(minutes=told.utc_offset)).date())
    counts = {
        "first-course": {user: len(found) for user, found in courses.items()},
        "five-courses": {user: len(found) // 5 for user, found in courses.items()},
        "hundred-lessons": {user: len(found) // 100 for user, found in studied.items()},
        "streak-7": {user: longest_run(found) // 7 for user, found in days.items()},
        "streak-30": {user: longest_run(found) // 30 for user, found in days.items()},
    }
    return {(user, badge) for badge, found in counts.items() for user, number in found.items() if number}


def longest_run(days: set[date]) -> int:
    longest = 0
    for first in days:
        day = first
        while day + DAY in days:
            day += DAY
        longest = max(longest, (day - first).days + 1)
    return longest


async def compare_badges(scene: Scene, earned: set[tuple[UUID, str]]) -> set[tuple[object, ...]]:
    """Notes each badge that is missing, or not earned; returns all awards."""
    rows = await scene.sql("select user_id, badge, number, earned_on, awarded_at from badge_award")
    found = {(row["user_id"], row["badge"]) for row in rows}
    scene.unexpected += [f"badge {key}: {'not earned' if key in found else 'missing'}" for key in found ^ earned]
    scene.prove(bool(found), "no badge was awarded")
    return set(map(tuple, rows))


@fault(rounds=2)
async def badges_delivered_ten_times(scene: Scene) -> None:
    """every lesson and course event ten times, in any order, to two killed processes of effects; then a rewind"""
    records = await announce(scene)
    lessons = await records_of(scene.servers.kafka, scene.direct.lesson_events_topic)
    announced = read_events(records)
    earned = find_earned(lessons, announced)
    await describe_learners(scene, {event.user_id for event in announced})  # so that no certificate waits for a name
    processes = start_effects(scene)
    copies = copy(scene, records, DELIVERIES) + copy(scene, lessons, DELIVERIES, delivered_lessons(scene))
    await deliver(scene, scene.rng.sample(copies, len(copies)), processes)
    scene.mark_over()
    await wait_until_performed(scene)
    awarded = await compare_badges(scene, earned)
    await rewind_effects(scene, processes)
    again = await compare_badges(scene, earned)
    if again != awarded:
        scene.unexpected.append(f"a rewind changed badges: {again ^ awarded}")
    await require_each_told_once(scene)


async def require_each_told_once(scene: Scene) -> None:
    """Requires that the workers have published each award, all copies under one id."""
    await scene.wait_until_recovered()
    records = await records_of(scene.servers.kafka, scene.direct.course_events_topic)
    ids: dict[tuple[UUID, str, int], set[bytes]] = defaultdict(set)
    for record, event in zip(records, read_events(records), strict=True):
        if isinstance(event, BadgeEarned):
            ids[event.user_id, event.badge, event.number].add(dict(record.headers)["ce_id"])
    wanted = {tuple(row) for row in await scene.sql("select user_id, badge, number from badge_award")}
    if ids.keys() != wanted:
        scene.unexpected.append(f"announced and awarded differ: {ids.keys() ^ wanted}")
    if several := Counter({key: len(found) for key, found in ids.items() if len(found) > 1}):
        scene.unexpected.append(f"announced under several ids: {several}")
