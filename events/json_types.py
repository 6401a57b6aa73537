"""Says how JSON becomes a value of an event, so that the models take exactly what their published JSON Schemas accept.

Whoever validates JSON by those schemas, in whatever language, gets the same answer as the models give.
"""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

# Where `$` also matches before a final line break, as in Python, a pattern alone would accept one.
NO_LINE_BREAK: JsonSchemaValue = {"not": {"pattern": "\\n"}}

HYPHENATED = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
# What pydantic takes. JSON Schema's format `uuid` is the second form alone.
UUID_PATTERN = rf"^([0-9A-Fa-f]{{32}}|{HYPHENATED}|urn:uuid:{HYPHENATED}|\{{{HYPHENATED}\}})$"

YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"  # not 0000
LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
DATE_PATTERN = f"^({YEAR}-{DAY}|{LEAP_YEAR}-02-29)$"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
# RFC 3339 without leap seconds. Not every validator knows the format `date-time`.
INSTANT_PATTERN = f"^({YEAR}-{DAY}|{LEAP_YEAR}-02-29)[Tt]{TIME}$"


def _to_integer(number: float) -> int:
    if number.is_integer():
        return int(number)
    raise ValueError("has a fraction")


# Only a number with a point costs a call of Python.
INTEGER = core_schema.union_schema(
    [
        core_schema.int_schema(strict=True),
        core_schema.no_info_after_validator_function(_to_integer, core_schema.float_schema(strict=True)),
    ],
    mode="left_to_right",
    custom_error_type="int_type",
)
RFC_3339 = core_schema.str_schema(strict=True, pattern=INSTANT_PATTERN)
INSTANT = core_schema.custom_error_schema(
    core_schema.json_or_python_schema(
        RFC_3339,
        core_schema.union_schema([RFC_3339, core_schema.datetime_schema(strict=True)], mode="left_to_right"),
    ),
    custom_error_type="rfc_3339",
    custom_error_message="Input should be a date and time of RFC 3339 with an offset",
)

ISO_DATE = core_schema.str_schema(strict=True, pattern=DATE_PATTERN)
DATE = core_schema.json_or_python_schema(
    ISO_DATE, core_schema.union_schema([ISO_DATE, core_schema.date_schema(strict=True)], mode="left_to_right")
)


class Before:
    """Lets a schema of pydantic's core decide first what it takes; the type's own then has that value."""

    def __init__(self, first: CoreSchema) -> None:
        self._first = first

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema([self._first, handler(source)])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        assert schema["type"] == "chain"
        return handler(schema["steps"][-1])


# To be given behind the bounds: Annotated[int, Field(strict=True, ge=1), Whole, Field(description="…")]. 12.0 is 12, as
# JSON Schema says; "12", 12.5 and true are signs of a broken producer, not numbers.
Whole = Before(INTEGER)

Id = Annotated[
    UUID,
    WithJsonSchema({"type": "string", "pattern": UUID_PATTERN, **NO_LINE_BREAK}),
]
Instant = Annotated[
    AwareDatetime, Before(INSTANT), Field(json_schema_extra={"pattern": INSTANT_PATTERN, **NO_LINE_BREAK})
]
Day = Annotated[date, Before(DATE), Field(json_schema_extra={"pattern": DATE_PATTERN, **NO_LINE_BREAK})]
