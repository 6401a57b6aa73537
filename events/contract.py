"""Writes the contract as files, from the models: a JSON Schema for each event, and one AsyncAPI document.

`python -m events.contract` writes them, `python -m events.contract --check` compares and exits 1.
The files are committed, so that a review sees a change of the contract and other languages can read it.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from events import topics
from events.catalog import CATALOG_EVENTS
from events.envelope import CAUSE, LONGEST_ATTRIBUTE, binary, build_dataschema
from events.headers import CONTENT_TYPE
from events.learners import LEARNER_EVENTS
from events.models import COURSE_EVENTS, LESSON_EVENTS, ContractEvent, course_event_id

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[ContractEvent]] = {**LESSON_EVENTS, **COURSE_EVENTS, **CATALOG_EVENTS, **LEARNER_EVENTS}

DESCRIPTION = """\
How far every learner is in every course. The application is the worker: it receives lesson events,
and what courses consist of, folds them into progress and sends course events.

Events are CloudEvents 1.0. They are sent in binary mode, as described here. They are also received
in structured mode (content-type application/cloudevents+json), and as a bare JSON object with id,
type and time beside the data. Unknown fields are ignored, events of an unknown type are skipped.
A type may have a domain before its name and .v1 behind it. Headers may be named ce-id for ce_id.
What producers' tools wrap around an event is taken off where it can only mean one thing: quotes of
JSON, a byte order mark, a schema registry's header, a JSON string, {schema, payload}.
A dataschema speaks of a version as urn:course-progress:<type>:<major>.<minor>, or as <type>/v<major>;
another one says nothing. The schemas hold for what is in the data. How the lessons of a version
belong together they cannot say: each is there once, and requires lessons of that version.
Delivery is at least once: a repeated event has the same id.
"""

USER = UUID("0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01")
COURSE = UUID("c7f3a1de-2b44-4e0b-8a51-64a4b8f0c902")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
COMPLETION = {"completion_number": 1, "total_lessons": 20, "course_version": 2, "title": "JavaScript"}
CERTIFICATE = {"code": "k5xw63tfon2ca5dimuqgy2lomu", "course_version": 2, "completion_number": 1, "issue": 1}
EXAMPLES: dict[str, dict[str, Any]] = {
    "LessonCompleted": {"lesson_id": "closures-2", "total_lessons": 20},
    "LessonUncompleted": {"lesson_id": "closures-2", "total_lessons": 20},
    "CourseAccessed": {"lesson_id": "closures-2"},
    "ProgressReset": {},
    "LessonWaived": {"lesson_id": "closures-2", "reason": "passed it at school"},
    "LessonWaiverWithdrawn": {"lesson_id": "closures-2"},
    "CoursePublished": {
        "version": 2,
        "title": "JavaScript",
        "lessons": [
            {"lesson_id": "closures-2", "title": "Closures", "section": "Functions", "replaces": ["closures"]},
            {"lesson_id": "quiz", "title": "Quiz", "required": False, "requires": ["closures-2"], "review": True},
        ],
    },
    "CourseDeleted": {},
    "CourseCompleted": {**COMPLETION, "lessons_completed": 20, "completed_at": NOON, "started_at": NOON},
    "CourseCompletionRevoked": {**COMPLETION, "lessons_completed": 19, "revoked_at": NOON},
    "ProgressMilestoneReached": {
        "milestone": 50,
        "reached_at": NOON,
        "lessons_completed": 10,
        **{name: COMPLETION[name] for name in ("total_lessons", "course_version", "title")},
    },
    "CertificateIssued": {**CERTIFICATE, "issued_at": NOON},
    "CertificateRevoked": {**CERTIFICATE, "revoked_at": NOON, "status": "revoked"},
    "BadgeEarned": {"badge": "streak-7", "title": "A week", "earned_on": date(2026, 11, 23), "awarded_at": NOON},
    "BadgeRevoked": {"badge": "knots", "title": "Knots", "number": 2, "revoked_at": NOON},
    "LearnerDescribed": {"name": "Ada Lovelace", "locale": "en-GB", "timezone": "Europe/London"},
}


def build_files() -> dict[Path, str]:
    """Builds the text of every file of the contract. Pure."""
    documents = {HERE / "schemas" / f"{name}.json": build_schema(model) for name, model in MODELS.items()}
    documents[HERE / "asyncapi.json"] = build_asyncapi()
    return {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}


def build_schema(model: type[ContractEvent]) -> dict[str, Any]:
    """Builds the JSON Schema, draft 2020-12, of an event's data."""
    return {"$schema": DIALECT, "$id": build_dataschema(model), **model.model_json_schema()}


def build_asyncapi() -> dict[str, Any]:
    """Builds the AsyncAPI 3.0 document from the worker's side: the events it receives and those it sends."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Course progress", "version": "1.1.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "lessonEvents": _build_channel(topics.LESSON_EVENTS, "Course players write it.", LESSON_EVENTS),
            "courseCatalog": _build_channel(
                topics.COURSE_CATALOG,
                "The courses' owner writes it. It is kept for ever and not compacted: of each version the first event "
                "counts.",
                CATALOG_EVENTS,
            ),
            "learners": _build_channel(
                topics.LEARNERS, "Whoever knows the learners writes it. It is compacted.", LEARNER_EVENTS
            ),
            "courseEvents": _build_channel(topics.COURSE_EVENTS, "The worker writes it.", COURSE_EVENTS),
        },
        "operations": {
            "receiveLessonEvents": _build_operation("receive", "lessonEvents", LESSON_EVENTS),
            "receiveCourseCatalog": _build_operation("receive", "courseCatalog", CATALOG_EVENTS),
            "receiveLearners": _build_operation("receive", "learners", LEARNER_EVENTS),
            "sendCourseEvents": _build_operation("send", "courseEvents", COURSE_EVENTS),
        },
        "components": {"messages": {name: _build_message(name, model) for name, model in MODELS.items()}},
    }


def _build_channel(topic: str, description: str, models: Mapping[str, type[ContractEvent]]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in models},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _build_operation(action: str, channel: str, models: Mapping[str, type[ContractEvent]]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in models],
    }


def _build_message(name: str, model: type[ContractEvent]) -> dict[str, Any]:
    ids = {name: id for name, id in {"user_id": USER, "course_id": COURSE}.items() if name in model.model_fields}
    key = {"type": "string", "format": "uuid", "description": next(iter(ids))}
    return {
        "name": name,
        "summary": model.__doc__,
        "contentType": "application/json",
        "headers": _build_headers_schema(name, model),
        "payload": {"$ref": f"./schemas/{name}.json"},
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "examples": [_build_example(model(**ids, **EXAMPLES[name]))],
    }


def _build_headers_schema(name: str, model: type[ContractEvent]) -> dict[str, Any]:
    properties = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1, "maxLength": LONGEST_ATTRIBUTE},
        "ce_type": {"const": name},
        "ce_source": {"type": "string", "format": "uri-reference", "minLength": 1, "maxLength": LONGEST_ATTRIBUTE},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened"},
        "ce_dataschema": {"const": build_dataschema(model)},
        "ce_cause": {
            "type": "string",
            "pattern": f"^{CAUSE.pattern}$",
            "description": "What has caused it, if not the learner",
        },
        CONTENT_TYPE: {"const": "application/json"},
    }
    required = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"]
    return {"type": "object", "properties": properties, "required": required}


def _build_example(event: ContractEvent) -> dict[str, Any]:
    id = course_event_id(type(event).__name__, USER, COURSE, 1, NOON)
    headers, value = binary(event, id=str(id), time=NOON, source="example")
    return {"headers": {name: text.decode() for name, text in headers}, "payload": json.loads(value)}


def find_stale() -> list[Path]:
    """Lists the files that differ from the models, are missing, or describe an event that no longer exists."""
    wanted = build_files()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    return changed + sorted(set((HERE / "schemas").glob("*.json")) - set(wanted))


def write_files() -> None:
    """Writes every file, and removes the schemas of events that no longer exist."""
    for path in find_stale():
        path.unlink(missing_ok=True)
    for path, text in build_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the files; returns the exit status, 1 if `--check` finds a file that differs."""
    what = "Writes events/schemas/*.json and events/asyncapi.json from the models."
    parser = argparse.ArgumentParser(prog="python -m events.contract", description=what)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    if not parser.parse_args(arguments).check:
        write_files()
        return 0
    outdated = find_stale()
    for path in outdated:
        print(f"out of date: {path.relative_to(HERE.parent)} (make contract writes it)", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
