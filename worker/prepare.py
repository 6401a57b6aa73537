"""Creates the topics and tables that a worker needs. Outside production the commands call it themselves."""

import asyncio

from worker.kafka.topics import create_missing
from worker.postgres.migrate import migrate
from worker.settings import Settings


async def prepare(settings: Settings) -> None:
    """Creates missing topics and applies missing migrations. Raises Unavailable or SetupError."""
    await asyncio.gather(create_missing(settings), migrate(settings))
