"""Gives credentials their places in status lists, and marks them as revoked there."""

import secrets

import asyncpg

from worker.certificates.sign_lists import plan_signing
from worker.certificates.status_bits import HALF, SIZE
from worker.certificates.status_bits import ListPlace as ListPlace
from worker.postgres.connection import query


async def take_place(connection: asyncpg.Connection, code: str) -> ListPlace:
    """Gives a credential of this certificate a place of its own, in the caller's transaction.

    The index is random, so that it does not show when the credential was issued. It is in the newest list; the first
    place that is found taken there, once half of them are, begins the next list. The certificate's own row may follow
    in the same transaction. Processes do not wait for each other, except while one begins a list. Raises the driver's
    errors.
    """
    while True:
        row = await connection.fetchrow(query("certificates/take_place"), code, secrets.randbelow(SIZE))
        if row is not None:
            return ListPlace(*row)
        begun = await connection.fetchval(query("certificates/begin_list"), HALF)
        if begun is not None:
            await plan_signing(connection, [begun])


async def set_bits(connection: asyncpg.Connection, code: str) -> None:
    """Revokes all credentials that a certificate has so far, and plans that their lists are signed.

    It happens in the caller's transaction. Repeating it changes nothing. Raises the driver's errors.
    """
    await plan_signing(connection, await connection.fetchval(query("certificates/set_bits"), code))
