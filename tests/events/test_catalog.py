"""Which versions of a course are events, and which would lead nowhere."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from events.catalog import CoursePublished, digest_version

COURSE = UUID("0190a6e2-0000-7000-8000-00000000000a")
A, B = {"lesson_id": "a"}, {"lesson_id": "b"}


def version(*lessons: dict[str, Any], **changed: Any) -> CoursePublished:
    return CoursePublished.model_validate({"course_id": COURSE, "version": 1, "lessons": list(lessons), **changed})


def test_what_is_left_out_has_a_usual_value() -> None:
    found = version(A, {**B, "required": False})

    assert (found.policy, found.rule, found.needed, found.required) == ("grandfather", "all", 1, ["a"])
    assert version(A, B, rule={"at_least": 1}).needed == 1


@pytest.mark.parametrize(
    ("lessons", "changed", "why"),
    [
        ([], {}, "at least 1 item"),
        ([{**A, "required": False}], {}, "no lesson is required"),
        ([A, B], {"rule": {"at_least": 3}}, "3 of 2 required lessons"),
        ([A], {"rule": {"at_least": 0}}, "greater than or equal to 1"),
        ([A], {"rule": "most"}, "rule"),
        ([A], {"policy": "forget"}, "grandfather"),
        ([A, B, A], {}, "'a' is there twice"),
        ([{**A, "requires": ["b"]}], {}, "requires 'b', which is not a lesson"),
        ([{**A, "requires": ["a"]}], {}, "nobody could begin: 'a' requires 'a'"),
        ([{**A, "requires": ["b"]}, {**B, "requires": ["a"]}], {}, "nobody could begin"),
        ([{**A, "replaces": ["a"]}], {}, "replaces itself"),
        ([{"lesson_id": f"{n}"} for n in range(2_001)], {}, "at most 2000"),
        ([{"lesson_id": f"{n}", "href": "x" * 1_900} for n in range(500)], {}, "more than 900000 bytes"),
        ([{"lesson_id": f"{n}", "href": "ж" * 1_000} for n in range(500)], {}, "more than 900000 bytes"),
        ([{"lesson_id": f"{n}", "replaces": [f"{n + 1}"]} for n in range(200)], {}, "replace more than 10000 others"),
        ([{**A, "replaces": [f"{n}" for n in range(10_001)]}], {}, "replace more than 10000 others"),
        ([A], {"version": 0}, "greater than or equal to 1"),
        ([A], {"version": 1.5}, "valid integer"),
    ],
)
def test_a_version_that_would_lead_nowhere_is_refused(
    lessons: list[dict[str, Any]], changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        version(*lessons, **changed)


def test_lessons_are_compared_in_nfc() -> None:
    """One lesson is named in two spellings: by its own id, by what requires it and by what it replaces."""
    composed, decomposed = {"lesson_id": "été"}, {"lesson_id": "e\u0301te\u0301"}

    found = version(decomposed, {**A, "requires": ["été"], "replaces": ["u\u0308ber"]})
    assert (found.lessons[0].lesson_id, found.lessons[1].replaces) == ("été", ("über",))
    assert digest_version(version(composed)) == digest_version(version(decomposed))
    for faulty, why in (
        ([composed, decomposed], "'été' is there twice"),
        ([{**composed, "replaces": ["e\u0301te\u0301"]}], "replaces itself"),
        ([{**composed, "requires": ["e\u0301te\u0301"]}], "nobody could begin"),
    ):
        with pytest.raises(ValidationError, match=why):
            version(*faulty)


@pytest.mark.parametrize("flag", ["required", "review"])
@pytest.mark.parametrize("value", ["true", 1, 0, "yes", None, 1.0])
def test_whether_is_said_by_true_or_false(flag: str, value: object) -> None:
    with pytest.raises(ValidationError, match=flag):
        version(A, {**B, flag: value})


def test_a_whole_number_with_a_point_is_that_number() -> None:
    assert version(A, B, version=2.0, rule={"at_least": 1.0}).needed == 1


def test_a_circle_of_2000_lessons_is_found() -> None:
    with pytest.raises(ValidationError, match="nobody could begin"):
        version(*({"lesson_id": f"{n}", "requires": [f"{(n + 1) % 2_000}"]} for n in range(2_000)))


def test_the_same_content_has_one_digest_and_another_content_another() -> None:
    assert digest_version(version(A, B)) == digest_version(version(A, {**B, "required": True}, policy="grandfather"))
    assert digest_version(version(A, B)) != digest_version(version(B, A))
