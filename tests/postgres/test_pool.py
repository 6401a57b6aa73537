"""Readers that share connections."""

import asyncio

from worker.postgres.pool import connect_pool
from worker.settings import Settings


async def test_whoever_asks_first_is_served_first(database_settings: Settings) -> None:
    pool = await connect_pool(database_settings, max_size=1)
    served: list[int] = []

    async def ask(number: int) -> None:
        await pool.fetch("select 1")
        served.append(number)

    await pool.fetch("select 1")  # opens it
    asking = []
    for number in range(1000):  # there is always one who asks just when the connection is given back
        asking.append(asyncio.create_task(ask(number), name="asks"))
        await asyncio.sleep(0)
    await asyncio.gather(*asking)
    await pool.close()

    assert served == sorted(served)
