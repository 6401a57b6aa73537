"""What an administrator wishes of a certificate is done by effects, at once and for good."""

from datetime import timedelta

import asyncpg
import pytest

from tests.certificates.desk import COURSE, NOON, USER, Desk, completed, taken_back
from worker.certificates import administration
from worker.certificates.administration import list_certificates, show_certificate
from worker.errors import UnknownCertificate
from worker.postgres.pool import connect_pool

NONE_SUCH = "a" * 26


async def wish(desk: Desk, name: str, code: str, *more: str) -> None:
    """Wishes with the rights of an API process, and has it done."""
    await desk.connection.execute("set role course_progress_certificates")
    await getattr(administration, name)(desk.connection, desk.settings, code, *more)
    await desk.connection.execute("reset role; set role course_progress_effects")
    await desk.perform()


async def test_revoked_by_hand_it_stays_revoked(desk: Desk) -> None:
    code = (await desk.issue())["code"]

    await wish(desk, "revoke", code, "somebody else did the exam")
    await desk.tell(taken_back(1), completed(2), completed(3))
    await desk.perform()

    row = await desk.only()
    assert (row["status"], row["reason"], row["revoked_by_hand"]) == ("revoked", "somebody else did the exam", True)
    assert (row["wish"], desk.bits[code]) == (None, desk.places[code])
    assert [told["type"] for told in await desk.take_announced()] == ["CertificateIssued", "CertificateRevoked"]


async def test_revoked_by_hand_after_its_completion_it_keeps_since_when(desk: Desk) -> None:
    code = (await desk.issue(completed(1)))["code"]
    await desk.tell(taken_back(1))
    await desk.perform()
    since = (await desk.only())["status_at"]

    await wish(desk, "revoke", code, "cheated")
    await desk.tell(completed(2))
    await desk.perform()

    row = await desk.only()
    assert (row["status"], row["reason"], row["status_at"]) == ("revoked", "cheated", since)
    assert len(await desk.take_announced()) == 2


async def test_issued_anew_it_has_the_name_the_date_and_a_credential_of_today(desk: Desk) -> None:
    before = await desk.issue(completed(1, at=NOON + timedelta(hours=1)))
    await desk.describe(name="Augusta King", timezone="Pacific/Kiritimati", at=NOON + timedelta(days=1))

    await wish(desk, "reissue", before["code"])

    row = await desk.only()
    assert (row["code"], row["issue"], row["name"], row["status"]) == (before["code"], 2, "Augusta King", "valid")
    assert row["completed_on"] == before["completed_on"] + timedelta(days=1)
    assert (row["wish"], desk.bits[row["code"]], desk.places[row["code"]]) == (None, [0], [0, 1])
    assert [told["type"] for told in await desk.take_announced()] == ["CertificateIssued"] * 2


async def test_issued_anew_it_is_valid_also_if_it_was_revoked_by_hand(desk: Desk) -> None:
    code = (await desk.issue())["code"]
    await wish(desk, "revoke", code, "a mistake")

    await wish(desk, "reissue", code)

    row = await desk.only()
    assert (row["status"], row["reason"], row["revoked_by_hand"], row["issue"]) == ("valid", None, False, 2)


async def test_issued_anew_it_waits_for_a_completion_that_stands(desk: Desk) -> None:
    code = (await desk.issue())["code"]
    await wish(desk, "revoke", code, "cheated")
    await desk.tell(taken_back(1))
    await desk.describe(name="Augusta King", at=NOON + timedelta(days=1))

    await wish(desk, "reissue", code)
    row = await desk.only()
    assert (row["status"], row["reason"], row["wish"], row["name"]) == ("revoked", "learner", "reissue", "Ada Lovelace")
    await desk.tell(completed(2))
    await desk.perform()

    row = await desk.only()
    assert (row["status"], row["wish"], row["name"]) == ("valid", None, "Augusta King")


async def test_of_two_wishes_the_last_is_done(desk: Desk) -> None:
    code = (await desk.issue())["code"]
    await administration.revoke(desk.connection, desk.settings, code, "a mistake")

    await wish(desk, "reissue", code)

    assert [(await desk.only())[name] for name in ("status", "issue")] == ["valid", 2]


async def test_no_certificate_has_such_a_code(desk: Desk) -> None:
    for call in (
        administration.revoke(desk.connection, desk.settings, NONE_SUCH, "why"),
        administration.reissue(desk.connection, desk.settings, NONE_SUCH),
        show_certificate(desk.connection, NONE_SUCH),
    ):
        with pytest.raises(UnknownCertificate, match=NONE_SUCH):
            await call
    assert await desk.waiting() == []


async def test_it_lists_the_latest_first_and_only_what_is_asked_for(desk: Desk) -> None:
    await desk.issue(completed(1))
    await desk.tell(completed(2, 2), completed(1).model_copy(update={"user_id": COURSE}))
    await desk.describe(name="Grace", user=COURSE)
    await desk.perform()
    code = (await desk.certificates())[0]["code"]
    await wish(desk, "revoke", code, "why")

    async def found(limit: int = 10, **chosen: object) -> list[tuple[object, ...]]:
        rows = await list_certificates(desk.connection, limit=limit, **chosen)
        assert all("name" not in row.keys() for row in rows)  # noqa: SIM118
        return sorted((row["user_id"].int, row["course_version"]) for row in rows)

    assert await found() == [(1, 1), (1, 2), (2, 1)]
    assert await found(user_id=USER) == [(1, 1), (1, 2)]
    assert await found(status="revoked") == [(1, 1)]
    assert await found(course_id=USER) == []
    newest = await list_certificates(desk.connection, limit=1)
    assert newest[0]["issued_at"] == max(row["issued_at"] for row in await desk.certificates())


async def test_it_shows_why_a_wish_waits(desk: Desk, connection: asyncpg.Connection) -> None:
    code = (await desk.issue(completed(1)))["code"]
    await desk.describe(at=NOON + timedelta(days=1), email="ada@b.example")

    await wish(desk, "reissue", code)

    row = await show_certificate(connection, code)
    assert (row["name"], row["wish"], row["waits_for"].split(":")[0]) == ("Ada Lovelace", "reissue", "no name")
    assert "credential" not in row.keys()  # noqa: SIM118


async def test_a_pool_does_the_same(desk: Desk) -> None:
    code = (await desk.issue(completed(1)))["code"]
    pool = await connect_pool(desk.settings)

    await administration.revoke(pool, desk.settings, code, "why")
    await desk.perform()

    assert (await show_certificate(pool, code))["status"] == "revoked"
    await pool.close()
