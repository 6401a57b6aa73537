"""An attribute is found in whatever header a producer's tools put it, as long as it says one thing."""

import json
from typing import Any

import pytest

from events.envelope import MalformedEvent, read
from events.headers import read_headers
from events.kinds import Kind
from tests.events.forms import ATTRIBUTES, DATA, EVENT, STRUCTURED, bare, decoded, in_binary_mode, structured

VALUE, HEADERS = in_binary_mode({**ATTRIBUTES, "cause": "imported"}, DATA)


def quote(raw: bytes) -> bytes:
    return json.dumps(raw.decode()).encode()


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name.replace("_", "-"),
        lambda name: name.upper(),
        lambda name: name.title(),
        lambda name: name.title().replace("_", "-"),
        lambda name: name.replace("ce_", "cloudEvents_"),
        lambda name: name.replace("ce_", "cloudEvents:"),
        lambda name: name.replace("_", "-") if name in ("ce_id", "ce_type", "ce_cause") else name,
    ],
)
def test_the_names_of_other_bindings_are_read_also_mixed(spell: Any) -> None:
    headers = [(spell(name), raw) for name, raw in HEADERS]

    assert decoded((VALUE, headers)) == EVENT
    assert read(VALUE, headers).cause == "imported"


@pytest.mark.parametrize(
    "name", ["id", "cexid", "ce_subject", "ce-traceparent", "x-ce-id", "c", "", "ce_" + "x" * 10_000]
)
def test_other_names_are_nobodys_business(name: str) -> None:
    assert read_headers([(name, b"\xff")]) == {}


@pytest.mark.parametrize(
    "quoted",
    [
        {"ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "ce_cause"},
        {"ce_source", "ce_time"},
        {"ce_type"},
        {"ce_id"},
        {"ce_time"},
        {"ce_specversion"},
        {"ce_cause"},
    ],
    ids=sorted,
)
@pytest.mark.parametrize("hyphens", [False, True])
def test_values_in_quotes_of_json_are_read(quoted: set[str], hyphens: bool) -> None:
    headers = [(name, quote(raw) if name in quoted else raw) for name, raw in HEADERS]
    headers = [(name.replace("_", "-") if hyphens else name, raw) for name, raw in headers]

    assert decoded((VALUE, headers)) == EVENT


def test_values_with_their_schema_are_read_as_connect_writes_them() -> None:
    connect = [(n, json.dumps({"schema": {"type": "string"}, "payload": raw.decode()}).encode()) for n, raw in HEADERS]

    assert decoded((VALUE, connect)) == EVENT


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json", "application/cloudevents+json; charset=UTF-8"]
)
def test_a_content_type_in_quotes_is_read(content_type: str) -> None:
    value = structured(ATTRIBUTES, DATA)[0]

    assert decoded((value, [("content-type", quote(content_type.encode()))])) == EVENT
    assert decoded((value, [("Content-Type", content_type.upper().encode())])) == EVENT
    assert decoded((VALUE, [*HEADERS, ("content-type", b'"application/json"')])) == EVENT


@pytest.mark.parametrize(
    "again",
    [
        HEADERS,
        [("ce_id", b"event-1")],
        [("ce-id", b"event-1"), ("CE_ID", b"event-1")],
        [("ce_id", b'"event-1"')],
        [("content-type", b"application/json"), ("content-type", b"application/json")],
    ],
)
def test_a_header_may_come_again_with_the_same_value(again: Any) -> None:
    assert decoded((VALUE, [*HEADERS, *again])) == EVENT


@pytest.mark.parametrize(
    "more",
    [
        [("Content-Type", b"text/plain")],
        [
            ("ce-dataschema", b"http://registry:8081/schemas/ids/2"),
            ("CE_DATASCHEMA", b"http://registry:8081/schemas/ids/7"),
        ],
        [("ce_dataschema", b"urn:a"), ("ce_dataschema", b"urn:b")],
    ],
)
def test_two_values_that_say_nothing_of_the_event_reject_nothing(more: Any) -> None:
    for headers in ([*HEADERS, *more], [*more, *HEADERS]):
        assert decoded((VALUE, headers)) == EVENT


@pytest.mark.parametrize("own", [(), (("ce_time", b"2026-11-01T00:00:00Z"),)])
def test_what_headers_and_a_whole_event_both_say_is_the_same(own: Any) -> None:
    value, headers = bare(ATTRIBUTES, DATA)[0], [("ce_id", b"event-1"), ("ce_cause", b"imported"), *own]

    if own:
        with pytest.raises(MalformedEvent, match="ce_specversion: missing"):
            decoded((value, headers))
    else:
        assert read(value, headers).cause == "imported"


@pytest.mark.parametrize("again", [("ce_id", b"event-2"), ("ce-id", b"event-2"), ("ce_type", b"CourseAccessed")])
def test_a_header_that_says_two_things_is_malformed(again: tuple[str, bytes]) -> None:
    with pytest.raises(MalformedEvent, match=f"{again[0]}: the header appears twice, with different values") as error:
        decoded((VALUE, [*HEADERS, again]))
    assert error.value.kind is Kind.ENVELOPE


@pytest.mark.parametrize(
    "headers", [[("ce-type", b"LessonCompleted")], [("ce_source", b"/web"), ("ce_id", b"event-1")]]
)
def test_a_whole_event_is_read_beside_some_headers_that_agree(headers: Any) -> None:
    for form in (bare, structured):
        value = form(ATTRIBUTES, DATA)[0]
        assert decoded((value, headers)) == EVENT
        with pytest.raises(MalformedEvent, match="ce_specversion: missing"):
            decoded((value, [*headers, ("ce_id", b"event-2")] if headers[0][0] != "ce_source" else [("ce_id", b"2")]))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([("content-type", b"application/cloudevents-batch+json")], "a batch of events"),
        ([("content-type", b'"application/cloudevents-batch+json; charset=utf-8"')], "a batch of events"),
        ([("content-type", b"application/cloudevents+avro")], "the only structured format that is read"),
        ([("content-type", b"application/cloudevents+protobuf")], "the only structured format that is read"),
    ],
)
def test_other_formats_of_cloudevents_are_named(headers: Any, reason: str) -> None:
    with pytest.raises(MalformedEvent, match=f"content-type: {reason}") as error:
        decoded((b"[]", headers))
    assert error.value.kind is Kind.ENVELOPE


@pytest.mark.parametrize("dataschema", [b"\xff", None, b"x" * 201, b"", b"http://registry:8081/schemas/ids/2"])
def test_a_dataschema_that_says_nothing_of_the_event_rejects_nothing(dataschema: Any) -> None:
    assert decoded((VALUE, [*HEADERS, ("ce_dataschema", dataschema)])) == EVENT


@pytest.mark.parametrize("specversion", [b"0.3", b"v1.0", b"'1.0'", b"two", b"1,0", b"2", b" 1.0"])
def test_only_a_version_that_is_newer_asks_for_a_newer_worker(specversion: bytes) -> None:
    def kind_of(said: bytes) -> Kind:
        headers = [(name, said if name == "ce_specversion" else raw) for name, raw in HEADERS]
        with pytest.raises(MalformedEvent, match=r"ce_specversion: only CloudEvents 1\.x is read") as error:
            decoded((VALUE, headers))
        return error.value.kind

    assert kind_of(specversion) is Kind.ENVELOPE
    assert kind_of(b"2.0") is kind_of(b'"2.0"') is Kind.VERSION


def test_a_structured_event_has_its_own_attributes() -> None:
    assert read(structured(ATTRIBUTES, DATA)[0], [*STRUCTURED, ("ce-id", b"other")]).id == "event-1"
