"""Reads and writes CloudEvents 1.0 on Kafka: which event a record is, when it happened, and its data.

It reads three forms, because producers send all three:

- binary: `ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_specversion` headers, the data as JSON value;
- structured: header `content-type: application/cloudevents+json`, everything in one JSON object;
- bare: a JSON object with `id`, `type` and `time` beside the data fields, no headers needed.

Where that fails, it takes off what producers' tools wrap around values and headers (`wrapping`).

Each attribute has at most 1,000 characters. The extension `cause` says what has caused an event, if not the learner: a
lower-case word such as `imported`.

It writes binary mode. `read` and `data_of` are two steps, so that the type is known before the data are parsed.
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from events.headers import CONTENT_TYPE, Headers, read_headers, unwrap_headers
from events.kinds import REASON_LENGTH, Kind, explain_validation
from events.kinds import MalformedEvent as MalformedEvent
from events.models import CAUSE_PATTERN, ContractEvent
from events.type_names import LONGEST_DATASCHEMA, MAJOR_VERSION, find_other_versions, find_type
from events.wrapping import UNREADABLE, unwrap, unwrap_text

AnyEvent = TypeVar("AnyEvent", bound=ContractEvent)

MINOR_VERSION = 1
CLOUD_EVENTS = "application/cloudevents"
STRUCTURED = {f"{CLOUD_EVENTS}+json", CLOUD_EVENTS}
UNKNOWN_SOURCE = "unknown"
NEWER_CLOUD_EVENTS = re.compile(r"(?:[2-9]|[1-9][0-9]+)\.[0-9]+\Z")
LONGEST_ATTRIBUTE = 1000  # characters of each attribute; longer ones are malformed
CAUSE = re.compile(CAUSE_PATTERN)
NO_OFFSET = timedelta()
MINUTE = timedelta(minutes=1)


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
    try:
        return _read_form(value, read_headers(headers))
    except MalformedEvent:
        return _read_wrapped(value, read_headers(unwrap_headers(headers)))


def data_of(envelope: Envelope, models: Mapping[str, type[AnyEvent]]) -> AnyEvent:
    """Reads the event itself, and validates it with the model of its type.

    Raises UnknownType for a type that is not in `models`. Raises MalformedEvent for one that differs in spelling alone,
    for another major version in type or `dataschema`, and for data that the model refuses.
    """
    model = models.get(envelope.type) or _find_model(envelope, models)
    if envelope.dataschema and not find_other_versions(envelope.dataschema).isdisjoint(models):
        raise MalformedEvent("dataschema", "unknown major version", kind=Kind.VERSION)
    try:
        if isinstance(envelope.data, bytes):
            return model.model_validate_json(envelope.data)
        return model.model_validate(envelope.data)
    except ValidationError as error:
        return _validate_unwrapped(envelope, model, explain_validation(error))


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


def _read_form(value: bytes | dict[str, Any], found: dict[str, str]) -> Envelope:
    content_type = found.get(CONTENT_TYPE, "").lower()
    if content_type.startswith(CLOUD_EVENTS):
        return _read_structured(value, content_type)
    if len(found) > (CONTENT_TYPE in found):
        return _build_envelope(found, value, prefix="ce_")
    return _read_bare(value)


def _read_wrapped(value: bytes, found: dict[str, str]) -> Envelope:
    """Reads a record with what producers' tools wrap around it taken off. Raises the plain reading's error."""
    try:
        return _read_form(value, found)
    except MalformedEvent as error:
        plain = error
    of_content = {CONTENT_TYPE: found[CONTENT_TYPE]} if CONTENT_TYPE in found else {}
    if len(found) > len(of_content) and not found.get(CONTENT_TYPE, "").startswith(CLOUD_EVENTS):
        return _read_beside_headers(value, found, plain)
    unwrapped = unwrap(value)
    if not unwrapped.found:
        raise plain
    if not isinstance(unwrapped.data, dict):
        why = unwrapped.found if unwrapped.data is UNREADABLE else f"{unwrapped.found}: no JSON object in it"
        raise MalformedEvent("value", why, kind=plain.kind)
    try:
        return _read_form(unwrapped.data, of_content)
    except MalformedEvent as error:
        raise MalformedEvent("value", unwrapped.found, str(error), kind=error.kind) from None


def _read_beside_headers(value: bytes, found: dict[str, str], plain: MalformedEvent) -> Envelope:
    """Reads a value that is a whole event, beside some headers that are not.

    What both say must be the same, but for the source, on which nothing depends.
    """
    said = {name: text for name, text in found.items() if name not in (CONTENT_TYPE, "source")}
    try:
        event = _parse_object(value)
        _read_bare(event)
        if all(event.get(name, text) == text for name, text in said.items()):
            return _read_bare({**event, **said})
    except MalformedEvent:
        pass
    raise plain


def _read_structured(value: bytes | dict[str, Any], content_type: str) -> Envelope:
    media_type = content_type.partition(";")[0].strip()
    if media_type.startswith(f"{CLOUD_EVENTS}-batch"):
        raise MalformedEvent(CONTENT_TYPE, "a batch of events: each record is to hold one event")
    if media_type not in STRUCTURED:
        raise MalformedEvent(CONTENT_TYPE, f"the only structured format that is read is {CLOUD_EVENTS}+json")
    event = _parse_object(value)
    return _build_envelope(event, _select_data(event))


def _read_bare(value: bytes | dict[str, Any]) -> Envelope:
    event = _parse_object(value)
    # A structured event without its header, which CloudEvents' Kafka binding allows.
    if "specversion" in event and ("data" in event or "data_base64" in event):
        return _build_envelope(event, _select_data(event))
    source, specversion = event.get("source") or UNKNOWN_SOURCE, event.get("specversion") or "1.0"
    return _build_envelope({**event, "source": source, "specversion": specversion}, event)


def _parse_object(value: bytes | dict[str, Any]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
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
    if attributes.get("specversion") != "1.0":
        _require_version(attributes, prefix)
    _require_text(attributes, prefix, "id", "type", "source", "time")
    time, offset = _parse_time(attributes["time"], prefix)
    cause = attributes.get("cause") or None
    dataschema = attributes.get("dataschema")
    if not isinstance(dataschema, str) or not 0 < len(dataschema) <= LONGEST_DATASCHEMA:
        dataschema = None
    if cause is not None:
        require_cause(cause, prefix)
    return Envelope(attributes["id"], attributes["type"], attributes["source"], time, dataschema, data, cause, offset)


def _require_version(attributes: Mapping[str, Any], prefix: str) -> None:
    if attributes.get("specversion") in ("1", 1) and attributes["specversion"] is not True:
        return  # Kafka Connect's InsertHeader takes 1.0 for a number, and writes 1
    _require_text(attributes, prefix, "specversion")
    if not attributes["specversion"].startswith("1."):
        kind = Kind.VERSION if NEWER_CLOUD_EVENTS.match(attributes["specversion"]) else Kind.ENVELOPE
        raise MalformedEvent(f"{prefix}specversion", "only CloudEvents 1.x is read", kind=kind)


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


def _find_model(envelope: Envelope, models: Mapping[str, type[AnyEvent]]) -> type[AnyEvent]:
    """Finds the model of a type that is written in another way than the contract does."""
    # In binary mode the data are bytes, and the type is a header, which a mapper may have put into quotes.
    text = unwrap_text(envelope.type) if isinstance(envelope.data, bytes) else envelope.type
    found = find_type(text, tuple(models))
    if found is None:
        raise UnknownType(envelope.type)
    if not found.exact:
        why = f"not {found.name}, but differs from it only in case, blanks, quotes or separators"
        raise MalformedEvent("type", why, kind=Kind.TYPE)
    if found.major != MAJOR_VERSION:
        raise MalformedEvent("type", f"another major version of {found.name} than this contract's", kind=Kind.VERSION)
    return models[found.name]


def _validate_unwrapped(envelope: Envelope, model: type[AnyEvent], plain: MalformedEvent) -> AnyEvent:
    """Validates data with what producers' tools wrap around them taken off. Raises the plain reading's error."""
    unwrapped = unwrap(envelope.data, (envelope.id, envelope.type))
    if not unwrapped.found:
        raise plain
    if unwrapped.data is UNREADABLE:
        raise MalformedEvent("data", unwrapped.found, kind=plain.kind)
    if isinstance(unwrapped.data, bytes):
        raise MalformedEvent("data", f"{unwrapped.found}: no JSON in it", kind=plain.kind)
    try:
        return model.model_validate(unwrapped.data)
    except ValidationError as error:
        inner = explain_validation(error)
    raise MalformedEvent(f"data: {unwrapped.found}: {inner}"[:REASON_LENGTH], kind=inner.kind)
