"""What is said of learners arrives, and gets into no log line, metric, reason or answer of a probe."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from events.envelope import binary
from events.learners import LearnerDescribed
from events.models import CourseCompleted
from events.producer import OutgoingRecord, Producer
from tests.processes import WorkerProcess, eventually
from tests.topics import records_of
from worker.deadletters.letter import Letter, read_entry
from worker.effects.settings import EffectsSettings
from worker.settings import Settings

NOW = datetime.now(UTC)
SECRET = "Zuleikha Quisling"
WELL_KNOWN, WITHOUT_GLYPH, NOWHERE = uuid4(), uuid4(), uuid4()
EMAIL = "zuleikha@mail.example"
DESCRIBED = [
    LearnerDescribed(user_id=WELL_KNOWN, name=SECRET, email=EMAIL, timezone="Europe/Oslo"),
    LearnerDescribed(user_id=WITHOUT_GLYPH, name=f"{SECRET} \U00013000", email=EMAIL),  # a hieroglyph
    LearnerDescribed(user_id=NOWHERE, name=SECRET, email=EMAIL, timezone="Mars/Base"),
]
MALFORMED: list[Any] = [
    {"user_id": SECRET, "name": SECRET},
    {"user_id": str(uuid4()), "name": [SECRET]},
    {"user_id": str(uuid4()), "name": f"{SECRET}\x00"},
    {"user_id": str(uuid4()), "email": SECRET},
    {"user_id": str(uuid4()), "mail": {"milestones": SECRET}},
    [SECRET],
    SECRET,
]


@pytest.fixture
def effects(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    """Runs `course-progress effects` with all that it may log."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    own = {
        "log_level": "DEBUG",
        "effects_group": f"effects-{uuid4()}",
        "public_url": "https://learn.example",
        "certificate_key_files": str(tmp_path / "key.pem"),
    }
    with WorkerProcess(EffectsSettings(**settings.model_dump() | own), module=("worker.cli", "effects")) as process:
        yield process
        print(process.log)


async def test_names_and_addresses_get_nowhere_but_where_they_belong(
    effects: WorkerProcess, settings: Settings, connection: asyncpg.Connection
) -> None:
    await publish(settings)

    async def done() -> bool:
        certified = await connection.fetchval("select count(*) from certificate")
        return bool(certified == 1 and await connection.fetchval("select count(reason) from effect") == 2)

    await eventually(done)
    letters = await records_of(settings, settings.dead_letter_topic, len(MALFORMED) + 1)
    reasons = [letter.reason for letter in map(read_entry, letters) if isinstance(letter, Letter)]
    waiting = [row["reason"] for row in await connection.fetch("select reason from effect where reason is not null")]
    probes = [(await effects.get(path)).text for path in ("/ready", "/live", "/metrics")]
    certificate = await connection.fetchrow("select name, credential::text from certificate")

    assert certificate["name"] == SECRET
    assert EMAIL not in certificate["credential"]
    assert len(reasons) == len(MALFORMED) + 1
    assert any("U+13000" in reason for reason in waiting)
    for text in (effects.log, *reasons, *waiting, *probes):
        assert "uleikha" not in text
        assert "Quisling" not in text


async def publish(settings: Settings) -> None:
    """Publishes descriptions, good ones and others, and the completions of those who are described well."""
    records = [build(settings.learners_topic, event.user_id, event) for event in DESCRIBED]
    good = records[0]
    records += [replace(good, value=json.dumps(value).encode()) for value in MALFORMED]
    records.append(replace(good, value=f'{{"name": "{SECRET}'.encode()))
    records += [build(settings.course_events_topic, user, completion(user)) for user in (e.user_id for e in DESCRIBED)]
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(records)


def build(topic: str, user_id: UUID, event: Any) -> OutgoingRecord:
    headers, value = binary(event, id=str(uuid4()), time=NOW, source="tests")
    return OutgoingRecord(topic, str(user_id).encode(), value, headers)


def completion(user_id: UUID) -> CourseCompleted:
    return CourseCompleted(
        user_id=user_id,
        course_id=uuid4(),
        completion_number=1,
        completed_at=NOW,
        started_at=NOW,
        lessons_completed=1,
        total_lessons=1,
        course_version=1,
        title="Fire safety",
    )
