"""Recognises what producers' tools wrap around an event, and takes it off where that can be done in one way only.

It is asked once the plain reading has failed, so that ordinary records do not pay for it. Pure. The names of wrappings
never repeat what the record says, because that may be personal data.
"""

import base64
import binascii
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic_core import from_json

LAYERS = 6  # more wrappings around each other are none of a real producer
UNREADABLE: Final = object()
MARK = "\ufeff"
# The longer marks first: UTF-32's begins with UTF-16's.
ENCODINGS = {
    BOM_UTF32_BE: "UTF-32 with a byte order mark: JSON is to be UTF-8",
    BOM_UTF32_LE: "UTF-32 with a byte order mark: JSON is to be UTF-8",
    BOM_UTF16_BE: "UTF-16 with a byte order mark: JSON is to be UTF-8",
    BOM_UTF16_LE: "UTF-16 with a byte order mark: JSON is to be UTF-8",
    b'\x00{\x00"': "UTF-16: JSON is to be UTF-8",
    b'{\x00"\x00': "UTF-16: JSON is to be UTF-8",
}
OTHERS = {
    b"\x1f\x8b": "gzip around the value: let the Kafka client compress instead (compression.type)",
    b"\x28\xb5\x2f\xfd": "Zstandard around the value: let the Kafka client compress instead (compression.type)",
    b"\xac\xed\x00\x05": "Java's own serialization: write the JSON text",
    b"Obj\x01": "an Avro file: write the JSON text",
    b"<": "XML or HTML: write JSON",
}
# Bytes before the data, by the first: Confluent's and Apicurio's numbers of 4 and 8 bytes; Confluent's GUID; AWS Glue.
REGISTRY_HEADERS = {0: (5, 9), 1: (17,), 3: (18,)}
BEHIND_REGISTRY = "Avro or Protobuf behind a schema registry's header: only JSON is read"
OUTBOX_ROUTER = "as Debezium sends it without its outbox event router"
TEXT_OF_ROUTER = "as Debezium's outbox event router sends it without table.expand.json.payload"
# Members under which other tools put an event. It is named, not read: what stands beside it may matter.
HOLDERS = ("payload", "data", "value", "message", "body", "event", "detail", "record", "after")

Layer: TypeAlias = tuple[str, Any]  # what was recognised, and what is in it
OWN_FIELDS = {"user_id", "course_id"}
OWN_MEMBERS = {*OWN_FIELDS, "id", "type", "time", "specversion"}


class Unwrapped(NamedTuple):
    """Holds what was found in a value: bytes that are no JSON, the parsed JSON, or UNREADABLE."""

    data: Any
    found: str  # what was taken off, or cannot be; empty: nothing was recognised


def unwrap(data: Any, event: tuple[str, str] | None = None) -> Unwrapped:
    """Takes every wrapping off: of bytes, or of JSON that is parsed. Never raises.

    `event` is the id and type of the event whose data these are: a whole CloudEvent of the same is a wrapping, too.
    """
    found: list[str] = []
    for _ in range(LAYERS):
        layer = _recognise_bytes(data) if isinstance(data, bytes) else None
        if isinstance(data, bytes) and layer is None:
            data = _parse(data)
        layer = layer or _recognise_json(data, event)
        if layer is None:
            return Unwrapped(data, " around ".join(found))
        name, data = layer
        found.append(name)
        if data is UNREADABLE:
            return Unwrapped(UNREADABLE, " around ".join(found))
    return Unwrapped(UNREADABLE, f"more than {LAYERS} wrappings around each other")


def unwrap_text(text: str) -> str:
    """Takes quotes of JSON, {schema, payload} and a byte order mark off the text of a header."""
    for _ in range(LAYERS):
        text = text.removeprefix(MARK)
        if text[:1] not in ('"', "{"):
            break
        parsed = _parse(text.encode())
        if isinstance(parsed, dict) and _is_schema_and_payload(parsed):
            parsed = parsed["payload"]
        if not isinstance(parsed, str):
            break
        text = parsed
    return text


def _parse(data: bytes) -> Any:
    """Parses JSON; returns bytes that are none as they are."""
    try:
        return from_json(data)
    except ValueError:
        return data


def _recognise_bytes(data: bytes) -> Layer | None:
    if data.startswith(BOM_UTF8):
        return "a byte order mark", data[len(BOM_UTF8) :]
    for start, name in (*ENCODINGS.items(), *OTHERS.items()):
        if data.startswith(start):
            return name, UNREADABLE
    return _recognise_registry(data) if data[:1] in (b"\x00", b"\x01", b"\x03") else None


def _recognise_registry(data: bytes) -> Layer | None:
    lengths = [length for length in REGISTRY_HEADERS[data[0]] if len(data) > length]
    if data[1:5] == bytes(4):  # a number of eight bytes, as it is small
        lengths.reverse()
    found = next((length for length in lengths if _is_json(data[length:])), None)
    if found is None and lengths and _begins_like_json(data[lengths[0] :]):
        found = lengths[0]
    if found:
        return f"a schema registry's header of {found} bytes", data[found:]
    if not lengths or data[0] == 1 or (data[0] == 3 and data[1] not in (0, 5)):
        return None
    return BEHIND_REGISTRY, UNREADABLE


def _is_json(data: bytes) -> bool:
    return isinstance(_parse(data.removeprefix(BOM_UTF8)), dict | str)


def _begins_like_json(data: bytes) -> bool:
    """Tells JSON that is broken from Avro or Protobuf, so that the reason speaks of the JSON."""
    try:
        text = data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError:
        return False
    return text.lstrip().startswith("{") and "\0" not in text


def _recognise_json(data: Any, event: tuple[str, str] | None) -> Layer | None:
    if isinstance(data, str):
        return _recognise_string(data)
    if isinstance(data, list):
        return ("a list: each record is to hold one event", UNREADABLE) if data else None
    return _recognise_object(data, event) if isinstance(data, dict) else None


def _recognise_string(text: str) -> Layer | None:
    if text.removeprefix(MARK).lstrip()[:1] in ("{", '"', "["):
        return "a JSON string", text.encode()
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if decoded.lstrip()[:1] in (b"{", b'"', b"\x00") or decoded.startswith(BOM_UTF8):
        return "base64 in a JSON string", decoded
    return None


def _recognise_object(data: dict[str, Any], event: tuple[str, str] | None) -> Layer | None:
    if _is_schema_and_payload(data):
        if data["payload"] is None:
            return "{schema, payload} whose payload is null", UNREADABLE
        if event and isinstance(data["payload"], str):  # its schema says that the data are text, and not an object
            return f"{{schema, payload}} whose payload is text, {TEXT_OF_ROUTER}", UNREADABLE
        return "{schema, payload}", data["payload"]
    if data.get("type") == "Buffer" and data.keys() == {"type", "data"}:
        return _recognise_buffer(data["data"])
    if event and "specversion" in data and "data" in data:
        if (data.get("id"), data.get("type")) == event:
            return "a whole CloudEvent", data["data"]
        return "another CloudEvent in its data", UNREADABLE
    if {"before", "after", "op"} <= data.keys():
        return f"a change of a database's row, {OUTBOX_ROUTER}", UNREADABLE
    if {"aggregatetype", "aggregateid"} <= data.keys():
        return f"a row of an outbox, {OUTBOX_ROUTER}", UNREADABLE
    return _find_holder(data, OWN_FIELDS if event else OWN_MEMBERS)


def _find_holder(data: dict[str, Any], own: set[str]) -> Layer | None:
    """Finds the member that the event is under. An object with a member of its own is the event, if a faulty one."""
    holder = next((name for name in HOLDERS if _holds_event(data.get(name))), None)
    if holder is None or own & data.keys():
        return None
    return f"the event's fields are in its member `{holder}`", UNREADABLE


def _is_schema_and_payload(data: dict[str, Any]) -> bool:
    return "payload" in data and data.keys() <= {"schema", "payload"}


def _recognise_buffer(numbers: Any) -> Layer | None:
    try:
        return "Node's Buffer as JSON", bytes(numbers) if isinstance(numbers, list) else UNREADABLE
    except (TypeError, ValueError):
        return None


def _holds_event(member: Any) -> bool:
    if isinstance(member, str):
        return member.lstrip().startswith("{") and _holds_event(_parse(member.encode()))
    return isinstance(member, dict) and bool(OWN_FIELDS & member.keys())
