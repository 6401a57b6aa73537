import asyncio
import random
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import asyncpg
import pytest

from tests.certificates.examples import put_certificate
from worker.certificates.places import set_bits, take_place
from worker.certificates.status_bits import HALF, SIZE, ListPlace

AT_ONCE, EACH = 8, 20


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    opened = [await asyncpg.connect(database_url) for _ in range(AT_ONCE)]
    yield opened
    for connection in opened:
        await connection.close()


async def issue(connection: asyncpg.Connection, code: str | None = None) -> ListPlace:
    """Takes a place as an issue does: before the certificate's own row is there."""
    code = code or uuid4().hex
    async with connection.transaction():
        place = await take_place(connection, code)
        if not await connection.fetchval("select exists (select from certificate where code = $1)", code):
            await put_certificate(connection, code)
    return place


async def planned(connection: asyncpg.Connection) -> list[str]:
    """Reads which lists are to be signed, and forgets it."""
    rows = await connection.fetch("delete from effect where kind = 'status-list' and due_at <= now() returning key")
    return sorted(row["key"] for row in rows)


async def revoked(connection: asyncpg.Connection) -> set[ListPlace]:
    rows = await connection.fetch("select list, list_index from credential_status where revoked")
    return {ListPlace(*row) for row in rows}


async def test_the_first_place_begins_the_first_list(connection: asyncpg.Connection) -> None:
    first, second = await issue(connection), await issue(connection)

    assert (first.list, second.list) == (1, 1)
    assert first != second
    assert await planned(connection) == ["1"]


async def test_the_index_is_random(connection: asyncpg.Connection) -> None:
    """Of 40 indexes the least is in the lower half and the greatest in the upper one, but for 1 run in 10^11."""
    indexes = [(await issue(connection)).index for _ in range(40)]

    assert 0 <= min(indexes) < HALF <= max(indexes) < SIZE
    assert indexes != sorted(indexes)


async def test_a_list_that_is_half_full_is_followed_by_the_next(connection: asyncpg.Connection) -> None:
    first = await issue(connection)
    code = await connection.fetchval("select code from certificate")
    await connection.execute(
        "insert into credential_status (list, list_index, code) select 1, n, $1 from generate_series(0, $2 - 1) n"
        " on conflict do nothing",
        code,
        HALF,
    )
    await planned(connection)

    places = {first} | {await issue(connection) for _ in range(60)}  # each finds its first place taken once in two

    assert len(places) == 61
    assert {place.list for place in places} == {1, 2}
    assert await planned(connection) == ["2"]


async def test_a_list_that_is_less_than_half_full_goes_on_where_places_are_taken(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", draw(5, 5, 5, 6))

    assert [await issue(connection), await issue(connection)] == [ListPlace(1, 5), ListPlace(1, 6)]


def draw(*indexes: int) -> Callable[[int], int]:
    left = iter(indexes)
    return lambda _: next(left)


async def test_processes_take_places_at_once_without_collision(
    connections: list[asyncpg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among few indexes most attempts collide, and one list is begun by all of them at the same time."""
    rng = random.Random(19)
    monkeypatch.setattr("secrets.randbelow", lambda _: rng.randrange(AT_ONCE * EACH + 40))

    async def issue_some(connection: asyncpg.Connection) -> list[ListPlace]:
        return [await issue(connection) for _ in range(EACH)]

    taken = await asyncio.gather(*map(issue_some, connections))

    places = [place for some in taken for place in some]
    assert len(set(places)) == AT_ONCE * EACH
    assert {place.list for place in places} == {1}
    assert await planned(connections[0]) == ["1"]


async def test_a_place_without_a_certificate_is_not_kept(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with connection.transaction():
            await take_place(connection, "nobody")

    assert await connection.fetchval("select count(*) from credential_status") == 0


async def test_all_credentials_of_a_certificate_are_revoked_and_no_others(connection: asyncpg.Connection) -> None:
    places = {await issue(connection, "a" * 26), await issue(connection, "a" * 26)}
    await issue(connection, "b" * 26)
    await planned(connection)

    await set_bits(connection, "a" * 26)

    assert await revoked(connection) == places
    assert await planned(connection) == ["1"]


async def test_to_revoke_again_plans_nothing(connection: asyncpg.Connection) -> None:
    place = await issue(connection, "a" * 26)
    await set_bits(connection, "a" * 26)
    await planned(connection)

    await set_bits(connection, "a" * 26)

    assert await revoked(connection) == {place}
    assert await planned(connection) == []


async def test_every_bit_is_set_when_processes_set_bits_of_one_list_at_once(
    connections: list[asyncpg.Connection],
) -> None:
    places = {f"{n}": await issue(connections[0], f"{n}") for n in range(AT_ONCE * 5)}

    async def revoke_some(number: int, connection: asyncpg.Connection) -> None:
        for code in list(places)[number::AT_ONCE]:
            async with connection.transaction():
                await set_bits(connection, code)

    await asyncio.gather(*[revoke_some(n, connection) for n, connection in enumerate(connections)])

    assert await revoked(connections[0]) == set(places.values())
