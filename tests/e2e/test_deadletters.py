"""Dead letters in the hands of whoever is on call: real workers, the real topic, the real command line."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

import worker.deadletters.replay
from events.kinds import Kind
from events.models import LessonCompleted
from events.producer import OutgoingRecord, Producer, PublishFailed
from tests.command_line import run
from tests.factories import NOW, Happened
from tests.factories import record as consumer_record
from tests.processes import Workers, environment
from tests.topics import publish, record
from worker.deadletters.replay import replay
from worker.deadletters.selection import Selection
from worker.deadletters.writer import DeadLetterWriter
from worker.errors import KafkaUnavailable
from worker.kafka.client import client_arguments
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings
from worker.stream.outcome import Rejected

COMMAND = "deadletters"
NO_POISON = "alter table lesson_progress add constraint no_poison check (lesson_id <> 'poison')"
REPAIR = "alter table lesson_progress drop constraint no_poison"


def ran(settings: Settings, *arguments: str, status: int = 0) -> str:
    """The output of a command on dead letters."""
    found, output, errors = run(COMMAND, *arguments, **environment(settings))
    assert found == status, errors
    assert errors.count("\n") <= 1
    return output


def listed(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran(settings, "list", "--json", *arguments).splitlines()]


async def ends(settings: Settings) -> dict[TopicPartition, int]:
    """Where each partition of each topic ends."""
    topics = (settings.lesson_events_topic, settings.course_events_topic, settings.dead_letter_topic)
    consumer = AIOKafkaConsumer(*topics, **client_arguments(settings))
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        return found
    finally:
        await consumer.stop()


async def send(settings: Settings, *values: bytes) -> None:
    async with Producer(**client_arguments(settings)) as producer:
        await producer.send_all([OutgoingRecord(settings.lesson_events_topic, b"k", value, []) for value in values])


def poison(learners: int = 1) -> list[Happened]:
    return [
        (LessonCompleted(user_id=uuid4(), course_id=uuid4(), lesson_id="poison", total_lessons=2), NOW)
        for _ in range(learners)
    ]


@pytest.fixture
async def refused(settings: Settings, workers: Workers, connection: asyncpg.Connection) -> list[Happened]:
    """Two valid events that are dead letters, for the database refused them; what it held against them is repaired."""
    await connection.execute(NO_POISON)
    happened = poison(2)
    await publish(settings, happened)
    assert workers.start("--until-idle").wait() == 0
    await connection.execute(REPAIR)
    return happened


async def test_dead_letters_are_listed_filtered_and_shown(settings: Settings, workers: Workers) -> None:
    no_lesson = {"id": "1", "type": "LessonCompleted", "time": NOW.isoformat()}
    await send(settings, b"\xff\xfe", json.dumps(no_lesson).encode(), b'{"type": "CourseAccessed"}')
    workers.start("--until-idle").wait()

    rows = listed(settings)

    assert [row["kind"] for row in rows] == ["not-json", "schema", "envelope"]
    assert [row["type"] for row in rows] == ["", "LessonCompleted", "CourseAccessed"]
    assert {row["origin"]["topic"] for row in rows} == {settings.lesson_events_topic}
    assert listed(settings, "--kind", "schema", "--kind", "envelope", "--reason", "USER_ID") == rows[1:2]
    assert listed(settings, "--type", "CourseAccessed", "--since", "2h") == rows[2:]
    assert listed(settings, "--until", "2h") == []
    assert listed(settings, "--limit", "1") == rows[2:]
    assert json.loads(ran(settings, "list", "--count", "--json")) == {"not-json": 1, "schema": 1, "envelope": 1}
    assert "3 open: not-json 1, schema 1, envelope 1" in ran(settings, "list")
    position = rows[0]["position"]
    assert "ff fe" in ran(settings, "show", position)
    assert json.loads(ran(settings, "show", position, "--json"))["value"] == {"base64": "//4="}
    assert ran(settings, "show", rows[2]["position"], "--raw") == '{"type": "CourseAccessed"}'


async def test_a_replayed_event_is_applied_as_if_it_had_come_at_once_and_never_again(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, refused: list[Happened]
) -> None:
    assert ran(settings, "replay") == (
        "replayed 0\nleft 2: refused by the database, which alone can tell (name them, or --kind refused)\n"
    )

    assert ran(settings, "replay", "--kind", "refused") == "replayed 2\n"

    assert workers.start("--until-idle").wait() == 0
    assert find_wrong_rows(expect_rows(refused), await read_rows(connection)) == []
    before = await ends(settings)
    assert ran(settings, "replay", "--kind", "refused") == "replayed 0\n"
    assert await ends(settings) == before
    assert listed(settings) == []
    assert [row["state"] for row in listed(settings, "--all")] == ["replayed", "replayed"]


async def test_a_clock_that_ran_ahead_stays_clamped_to_the_record_when_it_is_replayed(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(NO_POISON)
    published_at = NOW - timedelta(days=3)
    sent = record(settings, poison()[0][0], NOW + timedelta(days=30))
    async with Producer(**client_arguments(settings)) as producer:
        dated = OutgoingRecord(sent.topic, sent.key, sent.value, sent.headers, int(published_at.timestamp() * 1000))
        await producer.send_all([dated])
    workers.start("--until-idle").wait()
    await connection.execute(REPAIR)

    ran(settings, "replay", "--kind", "refused")

    workers.start("--until-idle").wait()
    clamped_at = published_at + timedelta(microseconds=30 * 86_400)
    assert await connection.fetchval("select completed_at from lesson_progress") == clamped_at


async def test_killed_between_event_and_note_a_replay_is_repeated_without_harm(
    settings: Settings,
    workers: Workers,
    connection: asyncpg.Connection,
    refused: list[Happened],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def killed(*_: object) -> None:
        raise PublishFailed("killed")

    before = await ends(settings)
    with monkeypatch.context() as patched:
        patched.setattr(worker.deadletters.replay, "write_resolutions", killed)
        with pytest.raises(KafkaUnavailable, match="0 were replayed"):
            await replay(settings, Selection(kinds=["refused"]), rate=100)
    produced = sum((await ends(settings)).values()) - sum(before.values())

    assert produced == 2
    assert ran(settings, "replay", "--kind", "refused") == "replayed 2\n"
    assert workers.start("--until-idle").wait() == 0
    assert find_wrong_rows(expect_rows(refused), await read_rows(connection)) == []


async def test_what_is_still_refused_is_a_dead_letter_again_with_one_attempt_more(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(NO_POISON)
    await publish(settings, poison())
    for attempts in (1, 2, 3):
        workers.start("--until-idle").wait()
        [row] = listed(settings)

        assert (row["kind"], row["attempts"]) == ("refused", attempts)
        ran(settings, "replay", row["position"])


async def test_what_is_still_no_event_stays(settings: Settings, workers: Workers) -> None:
    await send(settings, b"{", b"[]")
    workers.start("--until-idle").wait()
    before = await ends(settings)

    assert ran(settings, "replay") == "replayed 0\nleft 2: still not-json\n"

    assert await ends(settings) == before
    assert len(listed(settings)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["replay", "--kind", "refused"], "would replay 2\n"), (["discard", "--since", "1h"], "would discard 2\n")],
    ids=str,
)
@pytest.mark.usefixtures("refused")
async def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    settings: Settings, arguments: list[str], said: str
) -> None:
    before = await ends(settings)

    assert ran(settings, *arguments, "--dry-run") == said

    assert await ends(settings) == before


@pytest.mark.usefixtures("refused")
async def test_a_discarded_letter_is_shown_only_to_who_asks_and_not_replayed(settings: Settings) -> None:
    gone, kept = (row["position"] for row in listed(settings))

    assert ran(settings, "discard", gone, "--yes") == "discarded 1\n"

    assert [row["position"] for row in listed(settings)] == [kept]
    assert {row["position"]: row["state"] for row in listed(settings, "--all")} == {gone: "discarded", kept: "open"}
    assert "discarded at" in ran(settings, "show", gone)
    assert ran(settings, "replay", gone) == "replayed 0\n"
    assert ran(settings, "replay", "--kind", "refused", "--limit", "5") == "replayed 1\n"


@pytest.mark.usefixtures("refused")
async def test_nothing_is_discarded_without_a_yes(settings: Settings) -> None:
    before = await ends(settings)

    assert ran(settings, "discard", "--kind", "refused", status=130).strip() == ""

    assert await ends(settings) == before


async def test_a_letter_that_is_there_twice_is_shown_and_replayed_once(settings: Settings) -> None:
    event, at = poison()[0]
    sent = record(settings, event, at)
    copies = [consumed(sent), consumed(sent)]
    async with Producer(**client_arguments(settings)) as producer:
        for copy in copies:
            await DeadLetterWriter(settings, producer, settings.consumer_group).write(
                [Rejected(copy, "no_poison", Kind.REFUSED)]
            )
    before = await ends(settings)

    assert [row["copies"] for row in listed(settings)] == [2]
    assert ran(settings, "replay", "--kind", "refused") == "replayed 1\n"

    after = await ends(settings)
    grown = Counter[str]()
    for tp, end in after.items():
        grown[tp.topic] += end - before[tp]
    assert +grown == {settings.lesson_events_topic: 1, settings.dead_letter_topic: 2}
    assert listed(settings) == []


def consumed(sent: OutgoingRecord) -> Any:
    return consumer_record(topic=sent.topic, key=None, value=sent.value, headers=list(sent.headers))


@pytest.mark.usefixtures("refused")
async def test_truncating_deletes_no_open_letter_and_none_behind_one(settings: Settings) -> None:
    positions = [row["position"] for row in listed(settings)]
    ran(settings, "truncate", "--yes")
    assert [row["position"] for row in listed(settings, "--all")] == positions
    ran(settings, "discard", positions[0], "--yes")

    ran(settings, "truncate", "--yes")

    assert [row["position"] for row in listed(settings)] == positions[1:]
    ran(settings, "discard", positions[1], "--yes")
    ran(settings, "truncate", "--yes")
    assert listed(settings, "--all") == []
    assert ran(settings, "show", positions[1], status=1) == ""


@pytest.mark.usefixtures("refused")
async def test_letters_from_another_topic_are_replayed_only_to_one_that_is_named(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"lesson_events_topic": settings.course_events_topic})
    asked = ["replay", "--kind", "refused", "--dry-run"]

    assert ran(elsewhere, *asked).startswith(f"would replay 0\nleft 2: from {settings.lesson_events_topic}, not ")
    assert ran(elsewhere, *asked, "--to", settings.lesson_events_topic) == "would replay 2\n"
