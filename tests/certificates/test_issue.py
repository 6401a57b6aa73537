"""Certificates become what course events say they should be: each once, whatever comes, in whatever order."""

import asyncio
import itertools
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.models import COURSE_EVENTS, CourseEvent, uuid_v8
from tests.certificates.desk import COURSE, NOON, USER, Desk, completed, taken_back
from tests.certificates.owed import find_owed
from tests.deliveries import real_sql
from worker.certificates import administration
from worker.certificates.certificate import Certificate
from worker.certificates.issue import Issuer, Tools, create_code
from worker.certificates.plan import CERTIFICATE
from worker.effects.performer import Performer
from worker.errors import SetupError
from worker.stream.effect import Later, Planned

CAUSES = ["learner", "imported", "waived", "recovered", "reset", "course-changed", "repaired"]
hours = st.integers(0, 9).map(lambda hour: NOON + timedelta(hours=hour))


@st.composite
def histories(draw: st.DrawFn) -> list[CourseEvent]:
    """Draws what is told of completions, in part more than once. A completion has one version."""
    versions = draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))
    told = st.one_of(
        st.builds(lambda number, at: completed(number, versions[number - 1], at=at), st.integers(1, 6), hours),
        st.builds(taken_back, st.integers(1, 7), st.sampled_from(CAUSES), at=hours),
    )
    return draw(
        st.lists(told, min_size=1, max_size=8, unique_by=lambda e: (type(e), e.completion_number, event_time(e)))
    )


def event_time(event: CourseEvent) -> datetime:
    return getattr(event, "completed_at", None) or event.revoked_at


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[CourseEvent], list[list[CourseEvent]]]:
    """Draws events, and batches in which they come: each at least once, in any order, some missing numbers."""
    happened = draw(histories())
    arriving = draw(st.permutations(happened * draw(st.integers(1, 3))))
    cuts = sorted(draw(st.sets(st.integers(1, len(arriving)), max_size=4)) | {0, len(arriving)})
    return happened, [arriving[a:b] for a, b in itertools.pairwise(cuts)]


@hypothesis_settings(real_sql, max_examples=100)
@given(
    delivery=deliveries(),
    performed=st.lists(st.booleans(), min_size=5, max_size=5),
    without_catalog=st.booleans(),
)
async def test_certificates_are_what_the_model_says_and_each_is_announced_once(
    desk: Desk,
    without_catalog: bool,
    delivery: tuple[list[CourseEvent], list[list[CourseEvent]]],
    performed: list[bool],
) -> None:
    desk.settings = desk.settings.model_copy(update={"certificates_without_catalog": without_catalog})
    happened, batches = delivery
    await desk.empty()
    await desk.describe(name="Ada")

    for batch, now in zip(batches, performed, strict=False):
        await desk.tell(*batch)
        if now:
            await desk.perform()
    await desk.perform()

    rows = await desk.certificates()
    found = {tuple(row[n] for n in ("user_id", "course_id", "course_version")): row for row in rows}
    owed = find_owed(happened, without_catalog=without_catalog)
    dates = set(map(event_time, happened))
    assert found.keys() <= owed.keys()
    for key, wanted in owed.items():
        assert key in found or wanted.status != "valid"
        if key in found:
            assert found[key]["status"] == wanted.status
            # One that was revoked keeps its date, also where an earlier one is told afterwards.
            assert found[key]["completed_at"] in ({wanted.completed_at} if wanted.status == "valid" else dates)
            assert (found[key]["revoked_by_hand"], found[key]["title"]) == (False, "Knots")
    assert await desk.waiting() == []
    require_announced(rows, await desk.take_announced())
    require_bits(rows, desk)
    await desk.tell(*happened)  # as a rewind does
    await desk.perform()
    assert await desk.certificates() == rows
    assert await desk.take_announced() == []


def require_announced(rows: list[asyncpg.Record], outbox: list[asyncpg.Record]) -> None:
    """Requires one CertificateIssued for each issue, and one CertificateRevoked after each that is not valid now."""
    found = [(row["type"], json.loads(row["payload"])) for row in outbox]
    for row in rows:
        code, issues = row["code"], range(1, row["issue"] + 1)
        told = [(kind, data["issue"]) for kind, data in found if data["code"] == code]
        assert [issue for kind, issue in told if kind == "CertificateIssued"] == list(issues)
        assert len(told) == len(set(told))
        assert (told[-1] == ("CertificateRevoked", row["issue"])) == (row["status"] != "valid")
    assert {data["code"] for _, data in found} == {row["code"] for row in rows}


def require_bits(rows: list[asyncpg.Record], desk: Desk) -> None:
    """Requires that of a certificate's credentials the last is not revoked, if it is valid, and all others are."""
    for row in rows:
        places = desk.places[row["code"]]
        valid = row["status"] == "valid"
        assert len(places) == row["issue"]
        assert desk.bits.get(row["code"], []) == places[: len(places) - valid]
        assert json.loads(row["credential"])["place"] == places[-1]


async def test_a_certificate_says_who_completed_what_and_when(desk: Desk) -> None:
    row = await desk.issue(completed(4, 2), email="ada@b.example")

    assert [row[name] for name in ("user_id", "course_id", "course_version", "completion_number", "issue")] == [
        *(USER, COURSE, 2, 4, 1)
    ]
    assert (row["name"], row["title"], row["status"]) == ("Ada Lovelace", "Knots", "valid")
    assert (row["completed_on"].isoformat(), row["completed_at"]) == ("2026-03-01", NOON + timedelta(hours=4))
    assert (json.loads(row["rendered_with"]), row["revoked_by_hand"], row["listed"]) == (desk.versions, False, True)
    assert json.loads(row["credential"]) == {"place": 0, "name": "Ada Lovelace", "email": "ada@b.example"}
    assert [certificate.code for certificate in desk.rendered] == [row["code"]]


async def test_what_it_announces_is_of_the_contract_under_an_id_of_its_own(desk: Desk) -> None:
    code = (await desk.issue())["code"]
    await desk.tell(taken_back(1, "waived"))
    await desk.perform()

    issued, revoked = await desk.take_announced()
    assert (issued["id"], revoked["id"]) == (
        *(uuid_v8(f"CertificateIssued/{code}/1"), uuid_v8(f"CertificateRevoked/{code}/1")),
    )
    for row in (issued, revoked):
        event = COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])
        assert (event.code, event.user_id, event.course_id, event.issue) == (code, USER, COURSE, 1)
        assert (row["aggregatetype"], row["aggregateid"]) == ("course", str(USER))
        assert (row["source_topic"], row["source_partition"]) == ("course-events", 3)
    assert (event.status, event.cause) == ("withdrawn", "waived")


@pytest.mark.parametrize(
    ("timezone", "day"),
    [(None, "2026-03-01"), ("Pacific/Kiritimati", "2026-03-02"), ("America/New_York", "2026-03-01")],
)
async def test_the_date_is_the_day_in_the_learner_s_zone(desk: Desk, timezone: str | None, day: str) -> None:
    row = await desk.issue(completed(1, at=datetime(2026, 3, 1, 13, tzinfo=UTC)), timezone=timezone)

    assert row["completed_on"].isoformat() == day


@pytest.mark.parametrize("timezone", ["Europe/Atlantis", "Europe", "/etc/passwd", "../UTC"])
async def test_a_zone_that_nobody_knows_makes_it_wait(desk: Desk, timezone: str) -> None:
    await desk.connection.execute(
        "insert into learner (user_id, described_at, name, timezone) values ($1, $2, 'Ada', $3)", USER, NOON, timezone
    )
    await desk.tell(completed(1))

    later = await desk.perform_once()

    assert later.reason == f"unknown time zone {timezone}: describe the learner with one of the IANA database"
    assert later.at > datetime.now(UTC) + timedelta(hours=23)  # a description of the learner wakes it
    await desk.describe(name="Ada", timezone="Europe/Berlin", at=NOON + timedelta(days=1))
    await desk.perform()
    assert (await desk.only())["status"] == "valid"


async def test_a_course_without_a_title_has_its_id_until_it_is_issued_anew(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"certificates_without_catalog": True})
    row = await desk.issue(completed(1, 0, title=None))
    assert row["title"] == str(COURSE)
    await publish_title(desk, 1, "Knots")

    await administration.reissue(desk.connection, desk.settings, row["code"])
    await desk.perform()

    assert (await desk.only())["title"] == "Knots"


async def publish_title(desk: Desk, version: int, title: str) -> None:
    await desk.connection.execute("reset role")
    await desk.connection.execute(
        "insert into course_version (course_id, version, published_at, policy, needed, title, content, digest)"
        " values ($1, $2, now(), 'reopen', 1, $3, '{}', '')",
        *(COURSE, version, title),
    )
    await desk.connection.execute("set role course_progress_effects")


async def test_what_it_says_stays_when_the_learner_or_the_course_changes(desk: Desk) -> None:
    before = await desk.issue()
    await desk.describe(name="Augusta King", timezone="Pacific/Kiritimati", at=NOON + timedelta(days=1))
    await publish_title(desk, 1, "Ropes")
    await desk.tell(completed(1), taken_back(1), completed(2, title="Ropes"))
    await desk.perform()

    assert await desk.only() == before


async def test_made_valid_again_it_says_the_same_under_the_same_code(desk: Desk) -> None:
    before = await desk.issue()
    await desk.tell(taken_back(1))
    await desk.perform()
    revoked = await desk.only()
    assert (revoked["status"], revoked["reason"], revoked["status_at"] > before["status_at"]) == (
        *("revoked", "learner", True),
    )
    await desk.describe(name="Augusta King", at=NOON + timedelta(days=1))
    await desk.tell(completed(2))
    await desk.perform()

    after = await desk.only()
    same = ("code", "name", "title", "completed_on", "completed_at", "completion_number")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert (after["status"], after["reason"], after["issue"]) == ("valid", None, 2)


async def test_a_completion_that_was_taken_back_keeps_its_certificate_for_the_grace(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"certificate_grace_s": 24 * 60 * 60})
    now = datetime.now(UTC)
    before = await desk.issue(completed(1), taken_back(1, at=now))

    assert (before["status"], await desk.perform_once()) == ("valid", Later(None, now + timedelta(days=1)))
    await desk.tell(completed(2))
    await desk.perform()

    assert (await desk.only(), await desk.waiting()) == (before, [])


async def test_where_one_version_waits_the_others_do_not(desk: Desk) -> None:
    await desk.issue(completed(1))
    desk.problem = SetupError("no font has ☃")
    await desk.tell(taken_back(1), completed(2, 2), taken_back(2, "course-changed"))
    await desk.perform()
    assert await desk.waiting() == ["no font has ☃"]
    assert [row["status"] for row in await desk.certificates()] == ["valid"]

    desk.problem = None
    await desk.connection.execute("update effect set due_at = now()")
    await desk.perform()

    assert [(row["course_version"], row["status"]) for row in await desk.certificates()] == [(1, "valid"), (2, "valid")]


async def test_one_is_revoked_also_where_another_waits(desk: Desk) -> None:
    row = await desk.issue(completed(1))
    await administration.revoke(desk.connection, desk.settings, row["code"], "a mistake")
    desk.problem = SetupError("no key")
    await desk.tell(completed(2, 2))
    await desk.perform()

    assert (await desk.only())["status"] == "revoked"
    assert await desk.waiting() == ["no key"]


async def test_nothing_is_left_of_an_issue_that_fails(desk: Desk) -> None:
    await desk.describe(name="Ada")
    await desk.tell(completed(1))
    desk.problem = RuntimeError("a bug")
    await desk.perform()

    assert (await desk.certificates(), await desk.take_announced()) == ([], [])
    assert await desk.waiting() == ["bug: RuntimeError"]


class Slow:
    """Stands for a renderer and a signer that take time, and notes in which threads."""

    def __init__(self) -> None:
        self.threads: dict[str, threading.Thread] = {}

    @property
    def versions(self) -> dict[str, str]:
        self.threads["versions"] = threading.current_thread()
        return {}

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes:
        return b""

    def load(self) -> None:
        pass

    def sign_certificate(self, certificate: Certificate, place: Any, email: str | None) -> dict[str, Any]:
        self.threads["sign"] = threading.current_thread()
        return {}


async def test_signing_and_looking_at_font_files_do_not_hold_up_the_event_loop(desk: Desk) -> None:
    slow = Slow()
    tools = Tools(slow, slow, lambda *_: asyncio.sleep(0), desk.take_place, desk.set_bits)
    await desk.describe(name="Ada")
    await desk.tell(completed(1))

    await Issuer(desk.settings, tools).perform(desk.connection, Planned(f"{USER}/{COURSE}", "course-events", 3, 0))

    assert slow.threads.keys() == {"versions", "sign"}
    assert threading.main_thread() not in slow.threads.values()


async def test_two_processes_issue_one_certificate(desk: Desk, database_url: str) -> None:
    users = [UUID(int=n) for n in range(10, 40)]
    await asyncio.gather(*(desk.describe(name=f"Learner {user}", user=user) for user in users[:1]))
    for user in users[1:]:
        await desk.describe(name=f"Learner {user}", user=user)
    events = [completed(1).model_copy(update={"user_id": user}) for user in users]
    others = [await asyncpg.connect(database_url) for _ in range(3)]

    async def perform(connection: asyncpg.Connection) -> None:
        performer = Performer(desk.settings, {CERTIFICATE: desk.issuer.perform}, at_once=1)
        for _ in range(100):
            if not await performer.perform_next(connection):
                await asyncio.sleep(0)

    async def tell() -> None:
        for event in events * 3:
            await desk.tell(event)

    await asyncio.gather(tell(), *map(perform, others))
    await desk.perform()
    for connection in others:
        await connection.close()

    assert [row["user_id"] for row in await desk.certificates()] == users
    assert [row["type"] for row in await desk.take_announced()] == ["CertificateIssued"] * len(users)


def test_a_code_has_128_random_bits_in_26_letters() -> None:
    codes = {create_code() for _ in range(1000)}

    assert len(codes) == 1000
    assert all(len(code) == 26 and set(code) <= set("abcdefghijklmnopqrstuvwxyz234567") for code in codes)
    assert len({code[n] for code in codes for n in range(25)}) == 32
