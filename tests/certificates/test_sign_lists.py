import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.certificates.examples import CERTIFICATE, PUBLIC_URL, new_key, put_certificate, signing_settings
from tests.certificates.node import Verdict, find_verifier
from tests.processes import eventually
from worker.certificates.did import build_did_document, did_of
from worker.certificates.places import set_bits, take_place
from worker.certificates.settings import CertificateSettings
from worker.certificates.sign_lists import SIGN_LISTS, ListSigner
from worker.certificates.signing import CannotSign, Signer, publish_keys, read_keys
from worker.effects.performer import Performer
from worker.settings import Settings
from worker.stream.effect import Later, Planned

LIST_1 = Planned("1", "", 0, 0)
CODE = CERTIFICATE.code


@pytest.fixture
def signing(tmp_path: Path) -> CertificateSettings:
    return signing_settings(new_key(tmp_path))


async def issue(connection: asyncpg.Connection, settings: CertificateSettings) -> None:
    """Issues CERTIFICATE as far as a stranger sees it."""
    signer = Signer(settings)
    async with connection.transaction():
        place = await take_place(connection, CODE)
        await put_certificate(connection, CODE)
        await publish_keys(connection, signer)
        credential = json.dumps(signer.sign_certificate(CERTIFICATE, place, None))
        await connection.execute("update certificate set credential = $1", credential)


async def due(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval("select due_at <= now() from effect where kind = 'status-list' and key = '1'")
    )


async def look(connection: asyncpg.Connection) -> Verdict:
    """Verifies the credential with nothing but rows, as the API serves them."""
    keys = dict(await connection.fetch("select key_id, public_key from signing_key"))
    served = {
        did_of(PUBLIC_URL): build_did_document(PUBLIC_URL, keys),
        f"{PUBLIC_URL}/credentials/status/1": json.loads(
            await connection.fetchval("select credential from status_list where list = 1")
        ),
    }
    credential = await connection.fetchval("select credential from certificate")
    (verdict,) = await asyncio.to_thread(find_verifier().verify, served, [credential])
    return verdict


@pytest.mark.processes
async def test_a_stranger_sees_the_revocation_once_the_list_is_signed(
    connection: asyncpg.Connection, signing: CertificateSettings
) -> None:
    await issue(connection, signing)
    await ListSigner(signing).perform(connection, LIST_1)
    before = await look(connection)

    await set_bits(connection, CODE)
    await ListSigner(signing).perform(connection, LIST_1)

    assert (before, await look(connection)) == (Verdict(True, False, None), Verdict(True, True, None))


@pytest.mark.processes
async def test_a_credential_outlives_its_key(
    connection: asyncpg.Connection, signing: CertificateSettings, tmp_path: Path
) -> None:
    await issue(connection, signing)
    (tmp_path / "key.pem").unlink()

    await ListSigner(signing_settings(new_key(tmp_path, "next.pem"))).perform(connection, LIST_1)

    assert await look(connection) == Verdict(True, False, None)


async def test_a_list_is_signed_again_after_24_hours(
    connection: asyncpg.Connection, database_settings: Settings, signing: CertificateSettings
) -> None:
    await issue(connection, signing)
    performer = Performer(database_settings, {SIGN_LISTS: ListSigner(signing).perform}, 1)

    assert await performer.perform_next(connection)
    assert not await performer.perform_next(connection)

    row = await connection.fetchrow("select e.*, signed_at from effect e, status_list")
    assert row["due_at"] - row["signed_at"] == timedelta(hours=24)
    assert row["reason"] is None


async def test_a_bit_that_is_set_while_its_list_is_signed_is_not_missed(
    connection: asyncpg.Connection, database_url: str, database_settings: Settings, signing: CertificateSettings
) -> None:
    """It waits for whoever signs the list, and has it signed once more."""
    await issue(connection, signing)
    other, third = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    setting: list[asyncio.Task[None]] = []

    async def waits() -> bool:
        return await third.fetchval("select cardinality(pg_blocking_pids($1)) > 0", other.get_server_pid())

    async def sign_slowly(connection: asyncpg.Connection, planned: Planned) -> Later | None:
        later = await ListSigner(signing).perform(connection, planned)
        setting.append(asyncio.create_task(set_bits(other, CODE)))
        await eventually(waits)
        return later

    assert await Performer(database_settings, {SIGN_LISTS: sign_slowly}, 1).perform_next(connection)
    await setting[0]

    assert await due(connection)
    await other.close()
    await third.close()


async def test_a_list_waits_for_its_key(connection: asyncpg.Connection, signing: CertificateSettings) -> None:
    await issue(connection, signing)

    with pytest.raises(CannotSign):
        await ListSigner(signing_settings()).perform(connection, LIST_1)

    assert await connection.fetchval("select credential from status_list") is None


async def test_keys_are_published_once_and_stay(connection: asyncpg.Connection, tmp_path: Path) -> None:
    old, new = new_key(tmp_path, "old.pem"), new_key(tmp_path, "new.pem")

    async def stored() -> dict[str, Any]:
        return dict(await connection.fetch("select key_id, first_used_at from signing_key"))

    await publish_keys(connection, Signer(signing_settings(old)))
    before = await stored()
    await publish_keys(connection, Signer(signing_settings(new, old)))
    old.unlink()
    await publish_keys(connection, Signer(signing_settings(new)))

    after = await stored()
    assert before.items() < after.items()
    assert after.keys() == before.keys() | {read_keys(str(new))[0].key_id}
    assert max(after.values()) <= datetime.now(UTC) + timedelta(minutes=1)
