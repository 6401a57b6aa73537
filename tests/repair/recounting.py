"""Recounts progress rows in tests: all differences, all repairs."""

import asyncpg

from worker.repair.recount import Difference, Repair, Scope, Verify

PARTITIONS = [0, 1, 2, 3]
EVERYTHING = Scope()
ROW = "update course_progress_all set "


async def differences(connection: asyncpg.Connection, scope: Scope = EVERYTHING) -> list[Difference]:
    return [difference async for difference in Verify(connection, scope, say=print).differences()]


async def repaired(connection: asyncpg.Connection) -> list[Difference]:
    repair = Repair(connection, "lesson-events", PARTITIONS)
    return [done for found in await differences(connection) if (done := await repair(found))]
