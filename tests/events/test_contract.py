import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from events import contract, topics
from events.catalog import CATALOG_EVENTS
from events.envelope import binary
from events.learners import LearnerDescribed, MailConsent
from events.models import (
    CertificateIssued,
    CertificateRevoked,
    ContractEvent,
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    LessonCompleted,
    LessonUncompleted,
    ProgressReset,
)

unhurried = settings(deadline=None)  # the machine may be busy; pytest limits the time
NAMES = list(contract.MODELS)
ASYNCAPI = json.loads((contract.HERE / "asyncapi.json").read_text("utf-8"))

who_and_where = {"user_id": st.uuids(), "course_id": st.uuids()}
lesson_ids = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=255)
totals = st.integers(1, 10_000)
instants = st.datetimes(timezones=st.just(UTC))
lesson = {**who_and_where, "lesson_id": lesson_ids, "total_lessons": totals}
completion = {**who_and_where, "completion_number": st.integers(1), "lessons_completed": st.integers(0)}
certificate = {
    **who_and_where,
    "code": st.from_regex(r"[a-z2-7]{26}", fullmatch=True),
    "course_version": st.integers(0),
    "completion_number": st.integers(1),
    "issue": st.integers(1),
}
seen = st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0", codec="utf-8")
names = st.text(seen, max_size=199).map(lambda text: f"A{text}")
events: st.SearchStrategy[ContractEvent] = st.one_of(
    st.builds(LessonCompleted, **lesson),
    st.builds(LessonUncompleted, **lesson),
    st.builds(CourseAccessed, **who_and_where, lesson_id=st.none() | lesson_ids),
    st.builds(ProgressReset, **who_and_where),
    st.builds(CourseCompleted, **completion, total_lessons=totals, completed_at=instants, started_at=instants),
    st.builds(CourseCompletionRevoked, **completion, total_lessons=st.none() | totals, revoked_at=instants),
    st.builds(CertificateIssued, **certificate, issued_at=instants),
    st.builds(CertificateRevoked, **certificate, revoked_at=instants, status=st.sampled_from(["revoked", "withdrawn"])),
    st.builds(LearnerDescribed, user_id=st.uuids(), name=st.none() | names, mail=st.builds(MailConsent)),
)


def schema(name: str) -> dict[str, Any]:
    text = (contract.HERE / "schemas" / f"{name}.json").read_text("utf-8")
    return json.loads(text)


def accepts(schema: dict[str, Any], instance: Any) -> bool:
    return bool(Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(instance))


def resolve(reference: str) -> Any:
    part = ASYNCAPI
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


# The files


def test_the_files_in_the_repository_say_what_the_models_say() -> None:
    assert contract.find_stale() == [], "make contract writes them"


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_a_json_schema_of_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))

    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema(name)["$id"] == f"urn:course-progress:{name}:1.1"


@unhurried
@given(event=events)
def test_what_the_models_emit_is_what_the_schemas_accept(event: ContractEvent) -> None:
    assert accepts(schema(type(event).__name__), json.loads(event.model_dump_json()))


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "me"},
        {"user_id": None},
        {"lesson_id": ""},
        {"lesson_id": "a" * 256},
        {"lesson_id": "a\x00b"},
        {"total_lessons": 0},
        {"total_lessons": 10_001},
        {"total_lessons": "5"},
        {"total_lessons": True},
    ],
)
def test_what_the_schema_refuses_the_model_refuses_too(change: dict[str, Any]) -> None:
    example = resolve("#/components/messages/LessonCompleted")["examples"][0]["payload"]

    assert not accepts(schema("LessonCompleted"), example | change)
    with pytest.raises(ValidationError):
        LessonCompleted.model_validate(example | change)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_lets_a_producer_say_more(name: str) -> None:
    example = resolve(f"#/components/messages/{name}")["examples"][0]["payload"]

    assert accepts(schema(name), example | {"more": 1})


# The AsyncAPI document


def test_it_receives_lesson_events_the_catalog_and_learners_and_sends_course_events() -> None:
    directions = {
        resolve(operation["channel"]["$ref"])["address"]: operation["action"]
        for operation in ASYNCAPI["operations"].values()
    }

    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert directions == {
        topics.LESSON_EVENTS: "receive",
        topics.COURSE_CATALOG: "receive",
        topics.LEARNERS: "receive",
        topics.COURSE_EVENTS: "send",
    }


def test_every_operation_carries_the_messages_of_its_channel() -> None:
    for operation in ASYNCAPI["operations"].values():
        channel = operation["channel"]["$ref"]
        messages = [f"{channel}/messages/{name}" for name in resolve(channel)["messages"]]

        assert [message["$ref"] for message in operation["messages"]] == messages


def test_every_event_is_a_message_of_one_channel_keyed_by_the_user_or_the_course() -> None:
    references = [
        message["$ref"] for channel in ASYNCAPI["channels"].values() for message in channel["messages"].values()
    ]

    assert sorted(references) == sorted(f"#/components/messages/{name}" for name in NAMES)
    for reference in references:
        key = resolve(reference)["bindings"]["kafka"]["key"]
        of_a_course = reference.rpartition("/")[2] in CATALOG_EVENTS
        assert (key["format"], key["description"]) == ("uuid", "course_id" if of_a_course else "user_id")


@pytest.mark.parametrize("name", NAMES)
def test_every_message_names_its_schema_and_its_example_keeps_it(name: str) -> None:
    message = resolve(f"#/components/messages/{name}")
    payload = json.loads((contract.HERE / message["payload"]["$ref"]).read_text("utf-8"))

    assert payload == schema(name)
    for example in message["examples"]:
        assert accepts(payload, example["payload"])
        assert accepts(message["headers"], example["headers"])


@unhurried
@given(event=events, time=instants)
def test_the_headers_that_are_written_are_the_headers_that_are_documented(event: ContractEvent, time: datetime) -> None:
    headers, _ = binary(event, id="event-1", time=time, source="player")
    documented = resolve(f"#/components/messages/{type(event).__name__}")["headers"]

    assert accepts(documented, {name: text.decode() for name, text in headers})
    assert {name for name, _ in headers} | {"ce_cause"} == set(documented["properties"])  # most events have none


# The command


def test_check_fails_on_a_difference_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contract, "HERE", tmp_path / "events")
    (tmp_path / "events" / "schemas").mkdir(parents=True)
    no_more = tmp_path / "events" / "schemas" / "NoMore.json"
    no_more.write_text("{}")

    assert contract.main(["--check"]) == 1
    assert "events/schemas/NoMore.json" in capsys.readouterr().err
    assert no_more.exists()

    assert contract.main([]) == 0
    assert contract.main(["--check"]) == 0
    assert not no_more.exists()


def test_help_says_what_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        contract.main(["--help"])

    assert "events/asyncapi.json" in capsys.readouterr().out
