"""Reads and writes CloudEvents 1.0 on Kafka: which event a record is, when it happened, and its data.

It reads three forms, because producers send all three:

- binary: `ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_specversion` headers, the data as JSON value;
- structured: header `content-type: application/cloudevents+json`, everything in one JSON object;
- bare: a JSON object with `id`, `type` and `time` beside the data fields, no headers needed.

Each attribute has at most 1,000 characters, `dataschema` at most 200. The extension `cause` says what has caused an
event, if not the learner: a lower-case word such as `imported`.

It writes binary mode. `read` and `data_of` are two steps, so that the type of an event is known
before its data are parsed.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from events.kinds import Kind
from events.models import ContractEvent

Headers = Sequence[tuple[str, bytes]]
AnyEvent = TypeVar("AnyEvent", bound=ContractEvent)

MAJOR_VERSION, MINOR_VERSION = 1, 1
CONTENT_TYPE = "content-type"
CLOUD_EVENTS = "application/cloudevents"
UNKNOWN_SOURCE = "unknown"
# Only these headers of a record are read. Others, such as a tracer's binary ones, are ignored.
ATTRIBUTES = {f"ce_{name}": name for name in ("id", "type", "source", "time", "specversion", "dataschema", "cause")}
READ_HEADERS = {**ATTRIBUTES, CONTENT_TYPE: CONTENT_TYPE}
# Matches no port, no year and no counter of a schema registry (`/ids/7`, `/versions/7`).
VERSION = re.compile(r"(?<!/ids)(?<!/versions)[:/]v?([0-9]{1,3})(?:\.[0-9]+)*(?:\.json)?\Z")
REASON_LENGTH = 300
LONGEST_ATTRIBUTE = 1000  # characters of each attribute; longer ones are malformed
LONGEST_DATASCHEMA = 200
CAUSE = re.compile(r"[a-z][a-z-]{0,31}")
NO_OFFSET = timedelta()
MINUTE = timedelta(minutes=1)
NOT_AN_OBJECT = {"json_invalid", "model_type"}  # types of pydantic's errors


class MalformedEvent(ValueError):
    """Says that a record is not an event of this contract: `where`, and `what`. The text has one line, without data."""

    def __init__(self, *text: str, kind: Kind = Kind.ENVELOPE) -> None:
        super().__init__(*text)
        self.kind = kind

    def __str__(self) -> str:
        return ": ".join(self.args)


class UnknownType(Exception):
    """This reader does not know the type of the event, which is usually newer than the reader: skip the event."""

    def __init__(self, type: str) -> None:
        super().__init__(f"unknown event type {type[:100]!r}")
        self.type = type


class Envelope(NamedTuple):
    """Holds the attributes of an event, and its data before they are validated."""

    id: str
    type: str
    source: str  # UNKNOWN_SOURCE in a bare event without one
    time: datetime  # when it happened, UTC
    dataschema: str | None
    data: Any  # JSON text as bytes, not parsed yet; or the parsed value, from a JSON envelope
    cause: str | None = None  # None: the learner
    utc_offset: timedelta = NO_OFFSET  # of the device's clock


def read(value: bytes, headers: Headers) -> Envelope:
    """Reads the envelope of one Kafka record, in any of the three forms. Pure. Raises MalformedEvent.

    A record without a value is not an event: the caller must have skipped it.
    """
    found = _read_headers(headers)
    content_type = found.pop(CONTENT_TYPE, "").lower()
    if content_type.startswith(CLOUD_EVENTS):
        return _read_structured(value, content_type)
    if found:
        return _build_envelope(found, value, prefix="ce_")
    return _read_bare(value)


def data_of(envelope: Envelope, models: Mapping[str, type[AnyEvent]]) -> AnyEvent:
    """Reads the event itself, and validates it with the model of its type.

    Raises UnknownType for a type that is not in `models`, and MalformedEvent for data that the model
    refuses or a `dataschema` with another major version than this contract's.
    """
    model = models.get(envelope.type)
    if model is None:
        raise UnknownType(envelope.type)
    if envelope.dataschema and _parse_major_version(envelope.dataschema) != MAJOR_VERSION:
        raise MalformedEvent("dataschema", "unknown major version", kind=Kind.VERSION)
    try:
        if isinstance(envelope.data, bytes):
            return model.model_validate_json(envelope.data)
        return model.model_validate(envelope.data)
    except ValidationError as error:
        raise _explain_validation(error) from None


def binary(
    event: ContractEvent, *, id: str, time: datetime, source: str, cause: str = ""
) -> tuple[list[tuple[str, bytes]], bytes]:
    """Writes headers and value in binary mode; `time` keeps its offset from UTC.

    Raises MalformedEvent for a naive time, an empty id or source, a `cause` that is not a lower-case word.
    """
    offset = time.utcoffset()
    if offset is None:
        raise MalformedEvent("time", "has no offset from UTC", kind=Kind.TIME)
    if offset % MINUTE:  # RFC 3339 does not write such an offset
        time = time.astimezone(UTC)
    if not id or not source:
        raise MalformedEvent("id" if not id else "source", "empty")
    attributes = {
        "specversion": "1.0",
        "id": id,
        "type": type(event).__name__,
        "source": source,
        "time": time.isoformat(),
        "dataschema": build_dataschema(type(event)),
    }
    if cause:
        attributes["cause"] = require_cause(cause)
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    return [*headers, (CONTENT_TYPE, b"application/json")], event.model_dump_json().encode()


def build_dataschema(model: type[ContractEvent]) -> str:
    """Builds the name of the model's JSON Schema, with the version of the contract."""
    return f"urn:course-progress:{model.__name__}:{MAJOR_VERSION}.{MINOR_VERSION}"


def require_cause(cause: Any, prefix: str = "") -> str:
    """Returns the cause. Raises MalformedEvent where it is not a lower-case word of at most 32 letters."""
    if not isinstance(cause, str) or not CAUSE.fullmatch(cause):
        raise MalformedEvent(f"{prefix}cause", "not a lower-case word of at most 32 letters and hyphens")
    return cause


def _read_headers(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, raw in headers:
        attribute = READ_HEADERS.get(name)
        if attribute is None:
            continue
        if attribute in found:
            raise MalformedEvent(name, "the header appears twice")
        if raw is None:
            raise MalformedEvent(name, "the header has no value")
        try:
            found[attribute] = raw.decode()
        except UnicodeDecodeError:
            raise MalformedEvent(name, "the header is not UTF-8") from None
    return found


def _read_structured(value: bytes, content_type: str) -> Envelope:
    if content_type.partition(";")[0].strip() != f"{CLOUD_EVENTS}+json":
        raise MalformedEvent(CONTENT_TYPE, f"the only structured format that is read is {CLOUD_EVENTS}+json")
    event = _parse_object(value)
    return _build_envelope(event, _select_data(event))


def _read_bare(value: bytes) -> Envelope:
    event = _parse_object(value)
    # A structured event without its header, which CloudEvents' Kafka binding allows.
    if "specversion" in event and ("data" in event or "data_base64" in event):
        return _build_envelope(event, _select_data(event))
    source, specversion = event.get("source") or UNKNOWN_SOURCE, event.get("specversion") or "1.0"
    return _build_envelope({**event, "source": source, "specversion": specversion}, event)


def _parse_object(value: bytes) -> dict[str, Any]:
    try:
        event = from_json(value)
    except ValueError as error:
        raise MalformedEvent("value", f"Invalid JSON: {error}", kind=Kind.NOT_JSON) from None
    if not isinstance(event, dict):
        raise MalformedEvent("value", "not a JSON object", kind=Kind.NOT_JSON)
    return event


def _select_data(event: Mapping[str, Any]) -> Any:
    if "data_base64" not in event:
        return event.get("data")
    if "data" in event:
        raise MalformedEvent("data_base64", "beside data: only one of the two is allowed")
    try:
        return base64.b64decode(event["data_base64"], validate=True)
    except (TypeError, ValueError):
        raise MalformedEvent("data_base64", "not base64") from None


def _build_envelope(attributes: Mapping[str, Any], data: Any, prefix: str = "") -> Envelope:
    _require_text(attributes, prefix, "specversion")
    if not attributes["specversion"].startswith("1."):
        raise MalformedEvent(f"{prefix}specversion", "only CloudEvents 1.x is read", kind=Kind.VERSION)
    _require_text(attributes, prefix, "id", "type", "source", "time")
    time, offset = _parse_time(attributes["time"], prefix)
    cause = attributes.get("cause") or None
    dataschema = attributes.get("dataschema") or None
    if dataschema:
        _require_text(attributes, prefix, "dataschema")
        if len(dataschema) > LONGEST_DATASCHEMA:  # some are remembered
            raise MalformedEvent(f"{prefix}dataschema", f"longer than {LONGEST_DATASCHEMA} characters")
    if cause is not None:
        require_cause(cause, prefix)
    return Envelope(attributes["id"], attributes["type"], attributes["source"], time, dataschema, data, cause, offset)


def _require_text(attributes: Mapping[str, Any], prefix: str, *names: str) -> None:
    for name in names:
        text = attributes.get(name)
        if not text:
            raise MalformedEvent(f"{prefix}{name}", "missing or empty")
        if not isinstance(text, str):
            raise MalformedEvent(f"{prefix}{name}", "not text")
        if len(text) > LONGEST_ATTRIBUTE:
            raise MalformedEvent(f"{prefix}{name}", f"longer than {LONGEST_ATTRIBUTE} characters")


def _parse_time(text: str, prefix: str) -> tuple[datetime, timedelta]:
    """Returns the instant in UTC, and the offset from UTC that it was written with."""
    try:
        # RFC 3339 allows a small t and z, and Python does not. Python drops digits beyond microseconds.
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is UTC:
            return time, NO_OFFSET
        offset = time.utcoffset()
        if offset is not None:
            return time.astimezone(UTC), offset
    except (ValueError, OverflowError):
        pass
    raise MalformedEvent(f"{prefix}time", "not an RFC 3339 date and time with an offset", kind=Kind.TIME)


@lru_cache(maxsize=256)  # producers send the same few names millions of times
def _parse_major_version(dataschema: str) -> int:
    version = VERSION.search(dataschema)
    return int(version[1]) if version else MAJOR_VERSION


def _explain_validation(error: ValidationError) -> MalformedEvent:
    # Without the input, because it may be personal data, and a megabyte long.
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"{'.'.join(map(str, problem['loc'])) or 'data'}: {problem['msg']}" for problem in problems)
    kind = Kind.NOT_JSON if problems[0]["type"] in NOT_AN_OBJECT else Kind.SCHEMA
    return MalformedEvent("; ".join(lines)[:REASON_LENGTH], kind=kind)
