"""Keeps how to address learners, as the topic `learners` says, and wakes the certificates that wait for it."""

import json
from collections.abc import Sequence

import asyncpg

from events.learners import LearnerDescribed
from worker.certificates.plan import CERTIFICATE
from worker.postgres.connection import query
from worker.postgres.effect_rows import wake_effects
from worker.stream.outcome import Occurrence


async def describe_learners(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    """Stores the latest description of each learner, and returns how many certificates are due because of it.

    Of two descriptions of the same instant the greater one holds, by its fields, so their order decides nothing.
    """
    told = [(o.occurred_at, o.event) for o in occurrences if isinstance(o.event, LearnerDescribed)]
    if not told:
        return 0
    rows = [(e.user_id, at, e.name, e.email, e.locale, e.timezone, json.dumps(e.mail.model_dump())) for at, e in told]
    changed = await connection.fetch(query("certificates/describe_learners"), *map(list, zip(*rows, strict=True)))
    return await wake_effects(connection, CERTIFICATE, [row["user_id"] for row in changed])
