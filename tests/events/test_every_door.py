"""Kafka in its three forms, the HTTP API and the Python models take exactly what the published schemas accept."""

import json
from collections import Counter
from collections.abc import Callable, Set
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, ValidationError

from events.contract import MODELS, build_schema
from events.envelope import MalformedEvent, data_of, read
from tests.events.forms import ATTRIBUTES, FORMS, Form
from tests.events.generator import Generator, Json
from worker.web.api.bodies import AccessBody, LessonBody, ResetBody
from worker.web.api.learners import DescriptionBody, MailBody
from worker.web.api.waivers import WaiverBody, WithdrawalBody

EACH = 10_000  # values that are accepted, and as many that are refused
# How lessons belong together no schema can say, nor which time zones there are.
BEYOND_SCHEMAS = {
    *("lesson_twice", "none_required", "too_many_needed", "unknown_lesson", "replaces_itself", "cycle"),
    "unknown_zone",
}
WORDS = (
    "there twice",
    "no lesson is required",
    "required lessons",
    "is not a lesson of",
    "replaces itself",
    "nobody could",
)
HTTP: dict[str, type[BaseModel]] = {
    "LessonCompleted": LessonBody,
    "LessonUncompleted": LessonBody,
    "CourseAccessed": AccessBody,
    "ProgressReset": ResetBody,
    "LessonWaived": WaiverBody,
    "LessonWaiverWithdrawn": WithdrawalBody,
    "LearnerDescribed": DescriptionBody,
}
Door = Callable[
    [str], bool | None
]  # whether it takes this JSON text; None: for a reason beyond the schemas it does not


def build_validator(name: str, fields: Set[str]) -> Any:
    """Builds the validator of an event's schema, or of a part of its fields."""
    schema = build_schema(MODELS[name])
    schema["properties"] = {field: part for field, part in schema["properties"].items() if field in fields}
    schema["required"] = [field for field in schema.get("required", ()) if field in fields]
    return Draft202012Validator(schema, format_checker=FormatChecker())


def takes(model: type[BaseModel], data: str | Json) -> bool | None:
    try:
        if isinstance(data, str):
            model.model_validate_json(data)
        else:
            model.model_validate(data)
    except ValidationError as error:
        return None if {problem["type"] for problem in error.errors()} <= BEYOND_SCHEMAS else False
    return True


def open_kafka(name: str, form: Form) -> Door:
    def takes(text: str) -> bool | None:
        try:
            data_of(read(*form({**ATTRIBUTES, "type": name}, text)), MODELS)
        except MalformedEvent as error:
            return None if any(words in str(error) for words in WORDS) else False
        return True

    return takes


def doors_of(name: str) -> dict[str, Door]:
    model = MODELS[name]
    return {
        "the model, from JSON": lambda text: takes(model, text),
        "the model, from Python": lambda text: takes(model, json.loads(text)),
        **{f"Kafka, {form.__name__}": open_kafka(name, form) for form in FORMS},
    }


def to_camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def test_every_door_takes_what_the_schema_accepts_and_nothing_else() -> None:
    doors = {name: doors_of(name) for name in MODELS}
    validators = {name: build_validator(name, MODELS[name].model_fields.keys()) for name in MODELS}
    generators = {name: Generator(build_schema(model), seed) for seed, (name, model) in enumerate(MODELS.items())}
    seen: Counter[bool] = Counter()

    while min(seen[True], seen[False]) < EACH:
        for name, generator in generators.items():
            value = generator.draw()
            accepts = validators[name].is_valid(value)
            if seen[accepts] >= EACH or not value:
                continue
            text = json.dumps(value)
            said = {door: opened(text) for door, opened in doors[name].items()}
            if accepts and None in said.values():
                assert set(said.values()) == {None}, (name, text, said)
                continue
            assert {bool(answer) for answer in said.values()} == {accepts}, (name, text, said)
            seen[accepts] += 1


def test_http_takes_what_the_schema_accepts_and_nothing_else() -> None:
    """A body has no learner, and refuses members that it does not know, so neither is asked here."""
    known = {name: {field for field in MODELS[name].model_fields if is_of_body(name, field)} for name in HTTP}
    validators = {name: build_validator(name, fields) for name, fields in known.items()}
    generators = {name: Generator(build_schema(MODELS[name]), seed) for seed, name in enumerate(HTTP)}
    seen: Counter[bool] = Counter()

    while min(seen[True], seen[False]) < EACH:
        for name, generator in generators.items():
            value = {field: part for field, part in generator.draw().items() if field in known[name]}
            if isinstance(value.get("mail"), dict):
                value["mail"] = {kind: part for kind, part in value["mail"].items() if kind in MailBody.model_fields}
            accepts = validators[name].is_valid(value)
            if seen[accepts] >= EACH:
                continue
            answer = takes(HTTP[name], json.loads(json.dumps({to_camel(field): part for field, part in value.items()})))
            if not (accepts and answer is None):
                assert bool(answer) is accepts, (name, value)
                seen[accepts] += 1


def is_of_body(name: str, field: str) -> bool:
    return field in HTTP[name].model_fields
