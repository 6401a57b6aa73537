"""Whatever arrives is an event, or malformed, and nothing worse."""

import json
import string
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from events.envelope import MalformedEvent, UnknownType
from tests.events.forms import (
    ATTRIBUTES,
    DATA,
    FORMS,
    STRUCTURED,
    Form,
    bare,
    decoded,
    in_binary_mode,
    structured,
    structured_in_base64,
    structured_without_header,
    unhurried,
)

names = st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "content-type"]) | st.text()
header_values = st.none() | st.binary() | st.sampled_from([b"1.0", b"LessonCompleted", *STRUCTURED[0][1:]])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
attribute_names = st.sampled_from([*ATTRIBUTES, "data", "data_base64", "dataschema"])
field_names = st.sampled_from([*json.loads(DATA), "more"])


def survives(value: bytes, headers: Any) -> None:
    try:
        event = decoded((value, headers))
    except (MalformedEvent, UnknownType):
        return
    assert type(event).model_validate_json(event.model_dump_json()) == event


@unhurried
@given(value=st.binary(), headers=st.lists(st.tuples(names, header_values)))
@example(value=b"{}", headers=STRUCTURED)
def test_any_bytes_are_an_event_or_malformed(value: bytes, headers: Any) -> None:
    survives(value, headers)


@unhurried
@given(
    form=st.sampled_from([structured, structured_in_base64, structured_without_header, bare]),
    attributes=st.dictionaries(attribute_names, json_values, max_size=2),
    fields=st.dictionaries(field_names, json_values, max_size=2),
)
def test_an_event_with_any_json_in_it_is_an_event_or_malformed(
    form: Form, attributes: dict[str, Any], fields: dict[str, Any]
) -> None:
    survives(*form(ATTRIBUTES | attributes, json.dumps(json.loads(DATA) | fields)))


@unhurried
@given(
    attributes=st.dictionaries(attribute_names, st.text(st.characters(codec="utf-8")), max_size=2),
    fields=st.dictionaries(field_names, json_values, max_size=2),
)
def test_an_event_with_any_headers_is_an_event_or_malformed(attributes: dict[str, str], fields: dict[str, Any]) -> None:
    survives(*in_binary_mode(ATTRIBUTES | attributes, json.dumps(json.loads(DATA) | fields)))


@unhurried
@given(form=st.sampled_from(FORMS), position=st.integers(0, 300), junk=st.binary(max_size=4), cut=st.booleans())
def test_an_event_with_any_bytes_changed_is_an_event_or_malformed(
    form: Form, position: int, junk: bytes, cut: bool
) -> None:
    value, headers = form(ATTRIBUTES, DATA)
    rest = b"" if cut else value[position + len(junk) :]

    survives(value[:position] + junk + rest, headers)
