"""Signs status lists anew: when a bit of theirs was set, and every 24 hours, because they are valid for 48."""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg

from worker.certificates.settings import CertificateSettings
from worker.certificates.signing import Signer, publish_keys
from worker.certificates.status_bits import build_bits
from worker.postgres.connection import query
from worker.postgres.effect_rows import EffectRow, plan_effects
from worker.stream.effect import Later, Planned

SIGN_LISTS = "status-list"  # the kind of effect; its key is the number of the list
SIGN_EVERY = timedelta(hours=24)


async def plan_signing(connection: asyncpg.Connection, lists: Iterable[int]) -> None:
    """Plans that these lists are signed at once, in the caller's transaction. Raises the driver's errors.

    Whoever signs a list holds its row of `effect` until the commit, and this waits for it: so no bit set in this
    transaction is missed.
    """
    rows = [EffectRow(str(number), None, "", 0) for number in lists]  # no record is its cause: it sends no event
    await plan_effects(connection, SIGN_LISTS, rows)


class ListSigner:
    """Signs status lists."""

    def __init__(self, settings: CertificateSettings) -> None:
        self._signer = Signer(settings)

    async def perform(self, connection: asyncpg.Connection, planned: Planned) -> Later | None:
        """Signs the list whose number is the key, with the bits that are set now, and is due again in 24 hours.

        Raises CannotSign.
        """
        number, now = int(planned.key), datetime.now(UTC)
        await publish_keys(connection, self._signer)
        revoked = await connection.fetchval(query("certificates/revoked_places"), number)
        credential = await asyncio.to_thread(self._signer.sign_status_list, number, build_bits(revoked), now)
        await connection.execute(query("certificates/store_list"), number, json.dumps(credential), now)
        return Later(None, now + SIGN_EVERY)
