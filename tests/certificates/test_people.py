"""The latest description of a learner holds, and certificates that wait for it are issued by themselves."""

import asyncio
from datetime import timedelta

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from events.learners import LearnerDescribed, MailConsent
from tests.certificates.desk import NOON, USER, Desk, completed
from tests.deliveries import real_sql
from tests.processes import eventually
from worker.certificates.people import describe_learners
from worker.stream.outcome import Occurrence

descriptions = st.tuples(
    st.builds(
        LearnerDescribed,
        user_id=st.just(USER),
        name=st.sampled_from([None, "Ada", "ada", "Éva"]),
        email=st.sampled_from([None, "a@b.example"]),
        timezone=st.sampled_from([None, "Europe/Berlin"]),
        mail=st.builds(MailConsent, milestones=st.booleans()),
    ),
    st.integers(0, 1).map(lambda hour: NOON + timedelta(hours=hour)),
)


async def read(desk: Desk) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await desk.connection.fetch("select * from learner")]


@real_sql
@given(told=st.lists(descriptions, min_size=1, max_size=5), data=st.data())
async def test_the_order_of_descriptions_decides_nothing(
    desk: Desk, told: list[tuple[LearnerDescribed, object]], data: st.DataObject
) -> None:
    await desk.empty()
    occurrences = [Occurrence(at, event, "learners", 0) for event, at in told]
    await describe_learners(desk.connection, occurrences)
    once = await read(desk)
    await desk.empty()

    for occurrence in data.draw(st.permutations(occurrences * 2)):
        await describe_learners(desk.connection, [occurrence])

    assert await read(desk) == once


async def test_a_later_description_forgets_what_it_leaves_out(desk: Desk) -> None:
    await desk.describe(name="Ada", email="ada@b.example", timezone="Europe/Berlin")
    await desk.describe(name="Ada Lovelace", at=NOON + timedelta(hours=1), mail=MailConsent(reminders=True))
    await desk.describe(name="Someone else", at=NOON - timedelta(hours=1))

    [row] = await desk.connection.fetch("select name, email, timezone, mail ->> 'reminders' from learner")
    assert tuple(row) == ("Ada Lovelace", None, None, "true")


async def test_a_description_wakes_the_certificate_that_waits_for_it_once(desk: Desk) -> None:
    await desk.tell(completed(1))
    await desk.perform()
    assert [reason.split(":")[0] for reason in await desk.waiting()] == ["no name"]

    assert await desk.describe(name="Ada") == 1
    assert await desk.describe(name="Ada") == 0  # the same again
    await desk.perform()

    assert (await desk.only())["name"] == "Ada"
    assert await desk.waiting() == []


async def test_a_description_that_comes_while_a_certificate_is_looked_at_wakes_it(
    desk: Desk, database_url: str
) -> None:
    """The one who looks has found no name, and would look again only after a back-off."""
    await desk.tell(completed(1))
    looking = await asyncpg.connect(database_url)
    async with looking.transaction():
        await looking.execute("select from effect for update")
        describing = asyncio.create_task(desk.describe(name="Ada"))

        async def waits() -> bool:
            blocked = "select count(*) from pg_locks where not granted and pid = $1"
            return describing.done() or bool(await looking.fetchval(blocked, desk.connection.get_server_pid()))

        await eventually(waits)
        await looking.execute("update effect set due_at = now() + interval '10 minutes', reason = 'no name'")
    assert await describing == 1
    await looking.close()
    await desk.perform()

    assert (await desk.only())["name"] == "Ada"


async def test_nobody_described_is_nothing_to_do(desk: Desk) -> None:
    assert await describe_learners(desk.connection, []) == 0
