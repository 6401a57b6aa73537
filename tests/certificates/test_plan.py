"""What course events announced is kept the same, in whatever order and however often it comes."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.models import CertificateIssued, CourseEvent
from tests.certificates.desk import COURSE, NOON, USER, Desk, completed, taken_back
from tests.deliveries import real_sql
from worker.certificates.plan import plan_certificates

hours = st.integers(0, 3).map(lambda hour: NOON + timedelta(hours=hour))
told = st.one_of(
    st.builds(completed, st.integers(1, 2), st.integers(0, 2), at=hours, title=st.sampled_from([None, "", "Knots"])),
    st.builds(taken_back, st.integers(1, 2), st.sampled_from(["learner", "reset"]), at=hours),
)


async def read(desk: Desk) -> list[tuple[object, ...]]:
    rows = await desk.connection.fetch(
        "select completion_number, course_version, coalesce(title, ''), completed_at, revoked_at, revoked_cause"
        " from announced_completion order by 1"
    )
    return [tuple(row) for row in rows]


@real_sql
@given(events=st.lists(told, min_size=1, max_size=6), data=st.data())
async def test_order_repetition_and_batches_decide_nothing(
    desk: Desk, events: list[CourseEvent], data: st.DataObject
) -> None:
    await desk.empty()
    await desk.tell(*events)
    once = await read(desk)
    await desk.empty()

    for event in data.draw(st.permutations(events * 2)):
        await desk.tell(event)

    assert await read(desk) == once


async def test_of_two_that_tell_of_the_same_completion_the_earlier_holds(desk: Desk) -> None:
    await desk.tell(completed(1, 2, at=NOON + timedelta(hours=2)), taken_back(1, "reset", at=NOON + timedelta(hours=3)))
    await desk.tell(completed(1, 1, at=NOON, title="Ropes"), taken_back(1, "learner", at=NOON))
    await desk.tell(completed(1, 3, at=NOON + timedelta(hours=1)))

    assert await read(desk) == [(1, 1, "Ropes", NOON, NOON, "learner")]


async def test_one_effect_is_planned_for_each_learner_and_course(desk: Desk) -> None:
    other = completed(1).model_copy(update={"user_id": COURSE})

    assert await desk.tell(completed(1), completed(2), taken_back(1), other) == 2

    rows = await desk.connection.fetch("select key, user_id, source_topic, source_partition from effect order by key")
    assert [tuple(row) for row in rows] == [
        (f"{USER}/{COURSE}", USER, "course-events", 3),
        (f"{COURSE}/{COURSE}", COURSE, "course-events", 3),
    ]


async def test_what_effects_announce_themselves_plans_nothing(desk: Desk) -> None:
    issued = CertificateIssued(
        user_id=USER, course_id=COURSE, code="a" * 26, course_version=1, completion_number=1, issue=1, issued_at=NOON
    )

    assert await desk.tell(issued) == 0
    assert await plan_certificates(desk.connection, []) == 0
