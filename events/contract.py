"""Writes the contract as files: a JSON Schema for each event, and one AsyncAPI document, from the models.

`python -m events.contract` writes them, `python -m events.contract --check` compares and exits 1.
Commit them: a change of the contract is then seen in a review, and other languages can read it.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from events import topics
from events.envelope import CONTENT_TYPE, binary, dataschema
from events.models import COURSE_EVENTS, LESSON_EVENTS, Event, course_event_id

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[Event]] = {**LESSON_EVENTS, **COURSE_EVENTS}

DESCRIPTION = """\
How far every learner is in every course. The application is the worker: it receives lesson events,
folds them into progress and sends course events.

Events are CloudEvents 1.0. They are sent in binary mode, as described here. They are also received
in structured mode (content-type application/cloudevents+json), and as a bare JSON object with id,
type and time beside the data. Unknown fields are ignored, events of an unknown type are skipped.
Delivery is at least once: the id of an event tells a repetition.
"""

USER = UUID("0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01")
COURSE = UUID("c7f3a1de-2b44-4e0b-8a51-64a4b8f0c902")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
COMPLETION = {"completion_number": 1, "total_lessons": 20}
EXAMPLES: dict[str, dict[str, Any]] = {
    "LessonCompleted": {"lesson_id": "closures-2", "total_lessons": 20},
    "LessonUncompleted": {"lesson_id": "closures-2", "total_lessons": 20},
    "CourseAccessed": {"lesson_id": "closures-2"},
    "ProgressReset": {},
    "CourseCompleted": {**COMPLETION, "lessons_completed": 20, "completed_at": NOON, "started_at": NOON},
    "CourseCompletionRevoked": {**COMPLETION, "lessons_completed": 19, "revoked_at": NOON},
}


def files() -> dict[Path, str]:
    """Every file of the contract and what it should say. Pure."""
    documents = {HERE / "schemas" / f"{name}.json": schema(model) for name, model in MODELS.items()}
    documents[HERE / "asyncapi.json"] = asyncapi()
    return {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}


def schema(model: type[Event]) -> dict[str, Any]:
    """The JSON Schema, draft 2020-12, of the event's data."""
    return {"$schema": DIALECT, "$id": dataschema(model), **model.model_json_schema()}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document, from the worker's side: what it receives and what it sends."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Course progress", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "lessonEvents": _channel(topics.LESSON_EVENTS, "Course players write it.", LESSON_EVENTS),
            "courseEvents": _channel(topics.COURSE_EVENTS, "The worker writes it.", COURSE_EVENTS),
        },
        "operations": {
            "receiveLessonEvents": _operation("receive", "lessonEvents", LESSON_EVENTS),
            "sendCourseEvents": _operation("send", "courseEvents", COURSE_EVENTS),
        },
        "components": {"messages": {name: _message(name, model) for name, model in MODELS.items()}},
    }


def _channel(topic: str, description: str, models: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in models},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, channel: str, models: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in models],
    }


def _message(name: str, model: type[Event]) -> dict[str, Any]:
    key = {"type": "string", "format": "uuid", "description": "user_id"}
    return {
        "name": name,
        "summary": model.__doc__,
        "contentType": "application/json",
        "headers": _headers_schema(name, model),
        "payload": {"$ref": f"./schemas/{name}.json"},
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "examples": [_example(model(user_id=USER, course_id=COURSE, **EXAMPLES[name]))],
    }


def _headers_schema(name: str, model: type[Event]) -> dict[str, Any]:
    properties = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1},
        "ce_type": {"const": name},
        "ce_source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened"},
        "ce_dataschema": {"const": dataschema(model)},
        CONTENT_TYPE: {"const": "application/json"},
    }
    required = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"]
    return {"type": "object", "properties": properties, "required": required}


def _example(event: Event) -> dict[str, Any]:
    id = course_event_id(type(event).__name__, USER, COURSE, 1)
    headers, value = binary(event, id=str(id), time=NOON, source="example")
    return {"headers": {name: text.decode() for name, text in headers}, "payload": json.loads(value)}


def stale() -> list[Path]:
    """The files that differ from the models, are missing, or describe an event that is no more."""
    wanted = files()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    return changed + sorted(set((HERE / "schemas").glob("*.json")) - set(wanted))


def write() -> None:
    """Makes every file say what the models say, and removes the schemas of events that are no more."""
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 if `--check` finds a file that is not what the models say."""
    what = "Writes events/schemas/*.json and events/asyncapi.json from the models."
    parser = argparse.ArgumentParser(prog="python -m events.contract", description=what)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    outdated = stale()
    for path in outdated:
        print(f"out of date: {path.relative_to(HERE.parent)} (make contract writes it)", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
