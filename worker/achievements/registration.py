"""Tells the database which badges are declared, so that a new rule is tried on everybody, once."""

from collections.abc import Sequence

import asyncpg
import structlog
from mode import Service

from worker.achievements.award import BADGE_SCAN
from worker.achievements.rules import Badge
from worker.errors import Unavailable
from worker.postgres.connection import close, connect, query
from worker.postgres.effect_rows import EffectRow, plan_effects
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("badges")

AGAIN_AFTER_S = 2.0


class Registration(Service):
    """Registers the badges of this process when it starts; waits while PostgreSQL is away."""

    def __init__(self, settings: Settings, badges: Sequence[Badge]) -> None:
        super().__init__()
        self._settings = settings
        self._badges = badges

    @Service.task
    async def _register(self) -> None:
        while not self.should_stop:
            try:
                connection = await connect(self._settings)
                try:
                    with translate_errors(connection):
                        changed = await register(connection, self._badges, self._settings.course_events_topic)
                finally:
                    await close(connection)
            except Unavailable as error:
                log.warning("badges wait", error=str(error))
                await self.sleep(AGAIN_AFTER_S)
            else:
                if changed:
                    log.info("badges with a new rule are awarded to who has earned them before", badges=changed)
                return


async def register(connection: asyncpg.Connection, badges: Sequence[Badge], topic: str) -> list[str]:
    """Stores the rules, and plans a scan for each that is new or another than before; returns these badges.

    Whatever was awarded stays, also of a badge that is declared no more. Durable on return.
    """
    async with connection.transaction():
        rows = await connection.fetch(
            query("achievements/register"), [badge.id for badge in badges], [badge.rule for badge in badges]
        )
        await connection.execute("delete from badge_rule where badge <> all($1)", [badge.id for badge in badges])
        unscanned = [row["badge"] for row in rows if row["scanned_at"] is None]
        await plan_effects(connection, BADGE_SCAN, [EffectRow(badge, None, topic, 0) for badge in unscanned])
    return sorted(row["badge"] for row in rows if row["is_new"])
