"""What may be said about a learner, that it arrives, and that no error repeats it."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.envelope import MalformedEvent, UnknownType, data_of, read
from events.learners import LEARNER_EVENTS, LearnerDescribed, MailConsent
from events.publisher import LearnerPublisher
from tests.events.forms import ATTRIBUTES, FORMS, Form, every_form, in_binary_mode, unhurried

USER = UUID("0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = LearnerDescribed(
    user_id=USER,
    name="Zoë Ødegård-Nguyễn",
    email="zoe@mail.example",
    locale="nb-NO",
    timezone="Europe/Oslo",
    mail=MailConsent(milestones=True),
)
DESCRIBED = {**ATTRIBUTES, "type": "LearnerDescribed"}
SECRET = "Zuleikha Quisling"  # neither in the own words of an error, nor a locale or a zone

fields = st.sampled_from([*LearnerDescribed.model_fields, "more"])
attributes = st.sampled_from([*ATTRIBUTES, "data", "data_base64", "dataschema", "cause"])
secrets = st.sampled_from(
    [
        *(SECRET, f"{SECRET}@mail.example", f"{SECRET}@", f"{SECRET}\x00", f"{SECRET}\n", SECRET * 80, [SECRET]),
        *({"milestones": SECRET}, {SECRET: SECRET}, {"milestones": {SECRET: 1}}),
    ]
)


def data_of_learner(**changed: Any) -> str:
    return json.dumps(EVENT.model_dump(mode="json") | changed)


def decoded(value: bytes, headers: Any) -> LearnerDescribed:
    return data_of(read(value, headers), LEARNER_EVENTS)


@every_form
def test_a_description_arrives_in_every_form(form: Form) -> None:
    assert decoded(*form(DESCRIBED, EVENT.model_dump_json())) == EVENT


def test_whoever_is_only_named_has_agreed_to_no_mail() -> None:
    event = LearnerDescribed(user_id=USER, name="Ada")

    assert (event.email, event.locale, event.timezone) == (None, None, None)
    assert event.mail == MailConsent(milestones=False, reminders=False)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "X"},
        {"name": "9"},
        {"name": "々"},
        {"name": "🙂 Ada"},
        {"name": "ℵ"},
        {"name": "Ñ"},
        {"name": "أحمد بن محمد"},
        {"name": "ä" * 200},
        {"email": "a@b"},
        {"email": "用户@例子.example"},
        {"locale": "pt-BR"},
        {"locale": "zh-Hant-TW"},
        {"timezone": "America/Argentina/Buenos_Aires"},
        {"timezone": "Etc/GMT+5"},
        {"timezone": "UTC"},
    ],
    ids=str,
)
def test_people_everywhere_can_be_described(change: dict[str, Any]) -> None:
    [(name, value)] = change.items()

    assert getattr(LearnerDescribed.model_validate_json(data_of_learner(**change)), name) == value


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "me"},
        {"user_id": None},
        {"name": ""},
        {"name": "ä" * 201},
        {"name": "Ada\nLovelace"},
        {"name": "Ada\x00"},
        {"name": " "},
        {"name": "\u200b\u3164"},
        {"name": "🙂 !"},
        {"name": "\u0301"},
        {"name": "\ue000"},
        {"name": "Ada\u2028Lovelace"},
        {"name": "Ada\x85Lovelace"},
        {"name": "\u202egnp.adA"},
        {"name": 5},
        {"email": "ada"},
        {"email": "a@b@c"},
        {"email": "ada @mail.example"},
        {"email": f"{'a' * 250}@b.example"},
        {"locale": "en_GB.UTF-8"},
        {"timezone": "../../etc/passwd"},
        {"timezone": "Europe / Berlin"},
        {"mail": "yes"},
        {"mail": {"reminders": "often"}},
        {"mail": {"reminders": "true"}},
        {"mail": {"reminders": 1}},
    ],
    ids=str,
)
def test_what_is_none_of_that_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        LearnerDescribed.model_validate_json(data_of_learner(**change))


async def test_descriptions_of_one_learner_stay_in_order_and_each_has_an_id() -> None:
    publisher = LearnerPublisher("127.0.0.1:1")
    (first, record), (second, _) = (publisher._build_record(0, EVENT, NOON) for _ in range(2))

    assert record.key == str(USER).encode()
    assert record.topic == "learners"
    assert UUID(first) != UUID(second)
    assert decoded(record.value, record.headers) == EVENT


# Nobody's name or address gets into an error, and from there into a log


@unhurried
@given(form=st.sampled_from(FORMS), field=fields, value=secrets)
@example(form=in_binary_mode, field="user_id", value=SECRET)
def test_no_reason_repeats_what_a_description_says(form: Form, field: str, value: Any) -> None:
    assert_kept_secret(*form(DESCRIBED, data_of_learner(**{field: value})))


@unhurried
@given(form=st.sampled_from(FORMS[1:]), attribute=attributes, value=secrets)
def test_no_reason_repeats_an_attribute(form: Form, attribute: str, value: Any) -> None:
    assert_kept_secret(*form(DESCRIBED | {attribute: value}, data_of_learner()))


@unhurried
@given(form=st.sampled_from(FORMS), position=st.integers(0, 400), junk=st.binary(max_size=4), cut=st.booleans())
def test_no_reason_repeats_what_is_not_even_json(form: Form, position: int, junk: bytes, cut: bool) -> None:
    value, headers = form(DESCRIBED, data_of_learner(name=SECRET, email=f"{SECRET}@mail.example"))
    rest = b"" if cut else value[position + len(junk) :]

    assert_kept_secret(value[:position] + junk + rest, headers)


def assert_kept_secret(value: bytes, headers: Any) -> None:
    with suppress(UnknownType):  # whose text gets nowhere: the worker counts it under a reason of its own
        assert SECRET[:6] not in show(value, headers)


def show(value: bytes, headers: Any) -> str:
    try:
        return repr(decoded(value, headers))
    except MalformedEvent as error:
        return f"{error} {error!r}"


@pytest.mark.parametrize("change", [{"name": [SECRET]}, {"email": SECRET}, {"mail": {"milestones": SECRET}}], ids=str)
def test_an_error_of_the_model_does_not_repeat_it_either(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        LearnerDescribed.model_validate({"user_id": uuid4(), **change})

    assert SECRET not in str(caught.value)
