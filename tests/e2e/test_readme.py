"""The README's certificate service does what the README says, beside ours."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events.envelope import binary
from events.models import CertificateIssued, CourseCompleted, CourseCompletionRevoked
from events.producer import OutgoingRecord, Producer
from events.subscriber import CourseEventSubscriber
from tests.processes import eventually
from worker.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()
NOW = datetime.now(UTC)


async def test_the_ten_lines_make_one_certificate_of_a_completion_however_often_it_comes(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    users = [uuid4(), uuid4()]
    ids = [{"user_id": user, "course_id": uuid4(), "completion_number": 1} for user in users]
    counts = {"lessons_completed": 3, "total_lessons": 3}
    code = {"code": "k5xw63tfon2ca5dimuqgy2lomu", "course_version": 1, "issue": 1}
    events: list[tuple[str, Any]] = [
        ("1", CourseCompleted(**ids[0], **counts, completed_at=NOW, started_at=NOW)),
        ("2", CourseCompletionRevoked(**ids[0], **counts, revoked_at=NOW)),
        ("3", CertificateIssued(**ids[0], **code, issued_at=NOW)),  # ours, which is no completion
        ("4", CourseCompleted(**ids[1], **counts, completed_at=NOW, started_at=NOW)),
    ]
    await publish(settings, [*events, *events])
    issued: set[str] = set()

    running = asyncio.create_task(build(settings)(issued))

    async def all_handled() -> bool:
        return issued == {"1", "2", "3", "4"} or running.done()

    async def announced_again() -> bool:  # under a new id, as after a recovery
        return "5" in issued or running.done()

    try:
        await eventually(all_handled)
        await publish(settings, [*events, ("5", events[0][1])])
        await eventually(announced_again)
    finally:
        running.cancel()
        await asyncio.wait({running})

    assert running.cancelled()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("certificate for")]
    assert sorted(lines) == sorted(f"certificate for {user} dated {NOW}" for user in [*users, users[0]])


def build(settings: Settings) -> Any:
    """Builds the function of the README, with this test's servers and topic in place of docker compose's."""
    [block] = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "def certificates" in block]
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)

    def subscribe(_: str, group: str) -> CourseEventSubscriber:
        return CourseEventSubscriber(
            settings.kafka_bootstrap_servers, f"{group}-{uuid4()}", topic=settings.course_events_topic
        )

    names["CourseEventSubscriber"] = subscribe
    return names["certificates"]


async def publish(settings: Settings, events: list[tuple[str, Any]]) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        for id, event in events:
            headers, value = binary(event, id=id, time=NOW, source="tests")
            key = str(event.user_id).encode()
            await producer.send_all([OutgoingRecord(settings.course_events_topic, key, value, headers)])
