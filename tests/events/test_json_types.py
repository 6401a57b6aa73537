"""The models take what the patterns of their schemas say, and no more."""

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from events.json_types import INSTANT_PATTERN, UUID_PATTERN, Id, Instant
from events.learners import NAME_PATTERN, LearnerDescribed
from events.models import CourseCompletionRevoked, LessonCompleted
from tests.events.forms import unhurried
from tests.events.generator import INSTANTS, NO_INSTANTS, NO_UUIDS, UUIDS

USER = "0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01"


class Both(BaseModel):
    id: Id | None = None
    at: Instant | None = None


def takes(model: type[BaseModel], **data: Any) -> bool:
    """Says whether the model takes the data: from JSON and from Python alike."""
    found = {is_valid(model.model_validate_json, json.dumps(data)), is_valid(model.model_validate, data)}

    assert len(found) == 1
    return found.pop()


def is_valid(validate: Callable[[Any], object], data: Any) -> bool:
    try:
        validate(data)
    except ValidationError:
        return False
    return True


def near(*samples: str) -> st.SearchStrategy[str]:
    """Samples with some characters put in, in place of others, or taken out."""
    edits = st.tuples(st.integers(0, 45), st.integers(0, 2), st.text("0129afgZTz-:+.{}urn \n", max_size=3))
    return st.builds(
        lambda text, edit: text[: edit[0]] + edit[2] + text[edit[0] + edit[1] :], st.sampled_from(samples), edits
    )


@pytest.mark.parametrize("text", UUIDS)
def test_a_uuid_is_taken_in_each_usual_form(text: str) -> None:
    assert takes(Both, id=text)
    assert Both(id=text).id == UUID(text)


@pytest.mark.parametrize("text", NO_UUIDS)
def test_what_is_no_usual_form_of_a_uuid_is_refused(text: str) -> None:
    assert not takes(Both, id=text)


@pytest.mark.parametrize("text", INSTANTS)
def test_an_instant_is_one_of_rfc_3339(text: str) -> None:
    assert takes(Both, at=text)


@pytest.mark.parametrize("text", NO_INSTANTS, ids=repr)
def test_what_is_no_instant_of_rfc_3339_is_refused(text: object) -> None:
    assert not takes(Both, at=text)


@unhurried
@given(text=st.from_regex(UUID_PATTERN) | near(*UUIDS))
def test_a_uuid_is_what_its_pattern_says(text: str) -> None:
    assert takes(Both, id=text) == bool(re.search(UUID_PATTERN, text) and "\n" not in text)


@unhurried
@given(text=st.from_regex(INSTANT_PATTERN) | near(*INSTANTS))
def test_an_instant_is_what_its_pattern_says(text: str) -> None:
    assert takes(Both, at=text) == bool(re.search(INSTANT_PATTERN, text) and "\n" not in text)


@unhurried
@given(text=st.text(st.characters(codec="utf-8"), max_size=201) | st.text("aé \u3164!\n\u2028\u202e1日", max_size=5))
def test_a_name_is_what_its_pattern_says(text: str) -> None:
    matches = bool(re.search(NAME_PATTERN, text) and "\n" not in text and len(text) <= 200)

    assert takes(LearnerDescribed, user_id=USER, name=text) == matches


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("12.0", 12), ("1.2e1", 12), ("1e3", 1000), ("12.000", 12), ("10000.0", 10_000)],
)
def test_a_whole_number_with_a_point_is_that_number(text: str, number: int) -> None:
    data = f'{{"user_id": "{USER}", "course_id": "{USER}", "lesson_id": "a", "total_lessons": {text}}}'
    found = (LessonCompleted.model_validate_json(data), LessonCompleted.model_validate(json.loads(data)))

    assert [(event.total_lessons, type(event.total_lessons)) for event in found] == [(number, int)] * 2


@pytest.mark.parametrize("number", ["12", "12.0", 12.5, True, False, -0.5, 0.0, 10_000.5, 1e300, [12], {}, ""])
def test_what_is_no_whole_number_is_refused(number: object) -> None:
    assert not takes(LessonCompleted, user_id=USER, course_id=USER, lesson_id="a", total_lessons=number)


def test_numbers_of_course_events_are_no_different() -> None:
    event = {"user_id": USER, "course_id": USER, "revoked_at": INSTANTS[0], "total_lessons": 2.0}

    found = CourseCompletionRevoked.model_validate({**event, "completion_number": 1.0, "lessons_completed": 0.0})
    assert (found.completion_number, found.lessons_completed, found.total_lessons) == (1, 0, 2)
    assert not takes(CourseCompletionRevoked, **event, completion_number=1.5, lessons_completed=0)
