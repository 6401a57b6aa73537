"""An operator sees the state of the system over HTTP, and replays dead letters."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from events.kinds import Kind
from events.producer import OutgoingRecord, Producer
from tests.callers import Issuer, client_of
from tests.processes import eventually
from worker.deadletters.letter import Position
from worker.deadletters.topic import open_topic
from worker.kafka.client import client_arguments as kafka
from worker.web.api.operations import Replays
from worker.web.settings import ApiSettings

REPLAY = "/api/ops/deadletters/replay"


@pytest.fixture
async def operator(app: FastAPI, issuer: Issuer, user: UUID) -> Any:
    async with client_of(app, issuer.token(user, "ops")) as client:
        yield client


async def dead_letter(settings: ApiSettings, value: bytes, **more: str) -> str:
    """Writes a dead letter to the topic of these settings, and returns its position."""
    where = {"dlq_topic": settings.lesson_events_topic, "dlq_partition": "0", "dlq_offset": str(uuid4().int % 10**9)}
    why = {"dlq_kind": Kind.SCHEMA, "dlq_reason": "an old rule", "dlq_rejected_at": datetime.now(UTC).isoformat()}
    headers = [(name, text.encode()) for name, text in (where | why | more).items()]
    async with Producer(**kafka(settings)) as producer:
        [stored] = await producer.send_all([OutgoingRecord(settings.dead_letter_topic, None, value, headers)])
    return f"{stored.partition}:{stored.offset}"


def an_event(user: UUID, course: UUID) -> bytes:
    return (
        f'{{"id": "{uuid4()}", "type": "CourseAccessed", "time": "2026-11-22T23:10:00Z", '
        f'"user_id": "{user}", "course_id": "{course}"}}'
    ).encode()


async def test_an_operator_sees_partitions_workers_and_advice(operator: httpx.AsyncClient, shared: ApiSettings) -> None:
    seen: dict[str, Any] = {}

    async def all_is_there() -> bool:
        seen.update((await operator.get("/api/ops")).json())
        return not seen["missing"] and any(worker["status"] for worker in seen["workers"])

    await eventually(all_is_there)

    assert len(seen["partitions"]) == shared.topic_partitions
    assert {partition["owner"] for partition in seen["partitions"]} == {seen["workers"][0]["name"]}
    assert seen["advice"]["sentence"]
    assert (seen["advice"]["running"], seen["advice"]["tooFew"]) == (1, False)
    assert seen["outbox"]["rows"] == 0
    assert seen["asOf"]


async def test_nobody_else_does(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/api/ops"), await client.post(REPLAY, json={"positions": ["0:0"]})]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_a_dead_letter_that_todays_rules_allow_is_applied(
    operator: httpx.AsyncClient, client: httpx.AsyncClient, shared: ApiSettings, user: UUID, course: UUID
) -> None:
    position = await dead_letter(shared, an_event(user, course))
    dry = (await operator.post(REPLAY, json={"positions": [position], "dryRun": True})).json()
    real = (await operator.post(REPLAY, json={"positions": [position]})).json()
    again = (await operator.post(REPLAY, json={"positions": [position]})).json()

    async def applied() -> bool:
        return (await client.get(f"/api/progress/{course}")).status_code == 200

    await eventually(applied)

    assert [(answer["dryRun"], answer["replayed"]) for answer in (dry, real, again)] == [
        (True, 1),
        (False, 1),
        (False, 0),
    ]


async def test_a_replay_is_noted_as_the_callers(operator: httpx.AsyncClient, shared: ApiSettings, user: UUID) -> None:
    position = await dead_letter(shared, an_event(user, uuid4()))
    await operator.post(REPLAY, json={"positions": [position]})

    async with open_topic(shared) as box:
        ledger = await box.read_ledger()

    assert ledger.resolutions[Position.parse(position)].by == str(user)


async def test_a_dead_letter_that_they_do_not_allow_stays_with_its_reason(
    operator: httpx.AsyncClient, shared: ApiSettings
) -> None:
    position = await dead_letter(shared, b"{")

    answer = (await operator.post(REPLAY, json={"positions": [position]})).json()

    assert (answer["replayed"], answer["left"]) == (0, {"still not-json": 1})


async def test_a_truncated_letter_says_so_and_stays(
    operator: httpx.AsyncClient, shared: ApiSettings, user: UUID
) -> None:
    position = await dead_letter(shared, an_event(user, uuid4()), dlq_truncated="600000")

    async def listed() -> bool:
        letters = (await operator.get("/api/ops")).json()["deadLetters"]
        found = {letter["position"]: letter["truncated"] for letter in letters["latest"]} if letters else {}
        return found.get(position) == "value 600000"

    await eventually(listed)
    answer = (await operator.post(REPLAY, json={"positions": [position]})).json()

    assert answer["replayed"] == 0
    assert [why.partition(":")[0] for why in answer["left"]] == ["truncated"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"positions": []},
        {"positions": ["all"]},
        {"positions": ["0:0"] * 101},
        {"positions": ["0:0"], "to": "x"},
        {"positions": ["0:0"], "dryRun": "n"},
    ],
    ids=["nothing", "none", "no position", "too many", "an unknown member", "neither dry nor real"],
)
async def test_an_invalid_replay_replays_nothing(operator: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await operator.post(REPLAY, json=body)).status_code == 400


async def test_a_second_replay_does_not_wait_for_the_first(
    app: FastAPI, operator: httpx.AsyncClient, shared: ApiSettings
) -> None:
    app.state.replays = replays = Replays(shared)
    async with replays._busy:
        answer = await operator.post(REPLAY, json={"positions": ["0:0"]})

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:course-progress:problem:conflict")
