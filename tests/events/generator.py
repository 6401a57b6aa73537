"""Draws JSON of which a published schema accepts a part: valid values, each then changed in a place or two."""

import copy
import random
from collections.abc import Iterator
from typing import Any, TypeAlias

from events.json_types import INSTANT_PATTERN, UUID_PATTERN

Json: TypeAlias = Any
Place: TypeAlias = tuple[Any, Any]  # an object or list, and where in it

LESSON_IDS = [
    "intro",
    "a",
    " ",
    "Einführung",
    "e\u0301te\u0301",
    "été",
    "日本",
    "😀" * 255,
    "x" * 255,
    "two\nlines",
    "a\n",
    "0",
]
TEXTS = ["because", "ä", "x" * 500, "a\nb", "\u2028", "'; drop"]
# What a mutation puts in place of a value: each type, both sides of every bound.
STRANGERS: list[Json] = [
    *(None, True, False, 0, 1, 2, -1, 1.0, 12.0, 12.5, 0.0, -0.0, 1e3, 1e300, 10_000, 10_001, 10_000.0, 10_001.0),
    *(1_000_000, 1_000_001, 2**31, 2**63, 10**30, "", "5", "5.0", "true", "null", "all", [], {}, [1], ["a", "b"]),
    *("x" * 200, "x" * 201, "x" * 254, "x" * 255, "x" * 256, "x" * 500, "x" * 501, "x" * 2_000, "x" * 2_001),
    *("a\x00b", "\x00", "a\n", "\n", " a", "😀" * 255, "😀" * 256, "e\u0301" * 127, "e\u0301" * 128, "\u202egnp"),
    *({"at_least": 1}, {"at_least": 1.0}, {"at_least": 0}, {"at_least": "1"}, {"milestones": True}, {"milestones": 1}),
    *(
        "ada@mail.example",
        "a@b@c",
        "a@b\n",
        "pt-BR",
        "pt_BR",
        "en\n",
        "Europe/Oslo",
        "Etc/GMT+5",
        "a b",
        "!!!",
        "\u3164",
    ),
]
UUIDS = [
    "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "0B8E6C5E-5D0C-4A50-9A55-0D7F3C1C6A01",
    "0b8e6c5e5d0c4a509a550d7f3c1c6a01",
    "urn:uuid:0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "{0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01}",
    "00000000-0000-0000-0000-000000000000",
]
NO_UUIDS = [
    "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a0",
    "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a011",
    "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a0g",
    "0b8e6c5e5d0c-4a50-9a55-0d7f3c1c6a01",
    "URN:UUID:0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "urn:uuid:0b8e6c5e5d0c4a509a550d7f3c1c6a01",
    "{0b8e6c5e5d0c4a509a550d7f3c1c6a01}",
    "{0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01\n",
    " 0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "0b8e6c5e_5d0c_4a50_9a55_0d7f3c1c6a01",
    "\u0660b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01",
    "x" * 36,
    "0123456789abcdef",
]
INSTANTS = [
    "2026-11-23T12:00:00Z",
    "2026-11-23t12:00:00z",
    "2026-11-23T12:00:00.123456789+02:00",
    "2024-02-29T23:59:59-23:59",
    "2000-02-29T00:00:00-00:00",
    "0999-12-31T00:00:00Z",
]
NO_INSTANTS = [
    "2026-11-23T12:00:00",
    "2026-11-23",
    "2026-11-23 12:00:00Z",
    "2026-11-23T12:00Z",
    "2026-11-23T12:00:00+0200",
    "2026-11-23T12:00:00.Z",
    "2026-11-23T12:00:00,5Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T12:60:00Z",
    "2026-11-23T12:00:60Z",
    "2026-11-23T12:00:00+24:00",
    "2026-11-23T12:00:00Z\n",
    "2026-02-29T12:00:00Z",
    "1900-02-29T12:00:00Z",
    "2026-04-31T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "0000-01-01T12:00:00Z",
    "\u0662026-11-23T12:00:00Z",
    "1763899200",
    1763899200,
    1763899200.5,
]


class Generator:
    """Draws values for one JSON Schema as `events.contract` writes it; the same seed draws the same."""

    def __init__(self, schema: dict[str, Any], seed: int) -> None:
        self._schema = schema
        self._random = random.Random(seed)

    def draw(self) -> Json:
        """Returns a value that the schema accepts, or one that differs from it in one or two places."""
        value = self._valid(self._schema, "")
        for _ in range(self._random.choice([0, 1, 1, 2])):
            self._change(value)
        return value

    def _valid(self, schema: dict[str, Any], name: str) -> Json:
        choose = self._random.choice
        if "$ref" in schema:
            return self._valid(self._schema["$defs"][schema["$ref"].rpartition("/")[2]], name)
        if "anyOf" in schema:
            return self._valid(choose(schema["anyOf"]), name)
        if "enum" in schema or "const" in schema:
            return choose(schema.get("enum") or [schema["const"]])
        match schema.get("type"):
            case "object":
                fields = schema["properties"].items()
                required = schema.get("required", ())
                return {
                    field: self._valid(part, field)
                    for field, part in fields
                    if field in required or self._random.random() < 0.7
                }
            case "array":
                return self._array(schema, name)
            case "integer":
                lowest, highest = schema.get("minimum", 0), schema.get("maximum", 10_000)
                number = choose([lowest, highest, self._random.randint(lowest, highest)])
                return choose([number, number, float(number)])
            case "boolean":
                return choose([True, False])
            case "null":
                return None
        return self._text(schema, name)

    def _array(self, schema: dict[str, Any], name: str) -> Json:
        if name in ("requires", "replaces"):  # which lessons they may name, no schema can say
            return [] if name == "requires" else self._random.choice([[], ["old"], ["old", "älter"]])
        items = [
            self._valid(schema["items"], name)
            for _ in range(max(schema.get("minItems", 0), self._random.randint(0, 3)))
        ]
        for place, item in enumerate(items):
            if isinstance(item, dict):
                item["lesson_id"] = f"lesson {place}"
                item.pop("required", None)
        return items

    def _text(self, schema: dict[str, Any], name: str) -> str:
        known = {UUID_PATTERN: UUIDS, INSTANT_PATTERN: INSTANTS, r"^[a-z2-7]{26}$": ["k5xw63tfon2ca5dimuqgy2lomu"]}
        by_name = {
            "email": ["ada@mail.example", "用户@例子.example", "a@" + "b" * 252],
            "locale": ["pt-BR", "en", "zh-Hant-TW"],
            "cause": ["learner", "course-changed", "x" * 32],
            "timezone": ["Europe/Oslo", "UTC"],
            "name": ["Ada", "Zoë Ødegård-Nguyễn", "أحمد", "x" * 200, "9"],
        }
        default = LESSON_IDS if schema.get("maxLength") == 255 else TEXTS
        return self._random.choice(known.get(schema.get("pattern", "")) or by_name.get(name) or default)

    def _change(self, value: Json) -> None:
        places = list(find_places(value))
        if not places:
            return
        parent, key = self._random.choice(places)
        match self._random.choice(["replace", "replace", "replace", "nearly", "nearly", "leave out", "add"]):
            case "replace":
                parent[key] = copy.deepcopy(self._random.choice(STRANGERS))
            case "nearly":
                parent[key] = self._random.choice([*UUIDS, *NO_UUIDS, *INSTANTS, *NO_INSTANTS])
            case "leave out":
                del parent[key]
            case "add" if isinstance(parent, dict):
                parent["more"] = self._random.choice(STRANGERS)


def find_places(value: Json) -> Iterator[Place]:
    """Yields every place of an object or a list, also of those in it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from find_places(value[key])
