"""The JSON bodies of the API's calls, without servers."""

import json
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from events.catalog import AtLeast, CoursePublished
from events.models import CourseAccessed, LessonCompleted, LessonWaived, ProgressReset
from worker.web.api.bodies import ITEM, AccessBody, CompleteBody, LessonBody, OpenedBody, ResetBody
from worker.web.api.catalog_schemas import AtLeastContent, TriedVersion, VersionContent
from worker.web.api.waivers import WaiverBody

COURSE = UUID("0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22")
USER = UUID("6f1c1c9e-52a5-4a3c-9b64-0f3f0a5f7b11")


@pytest.mark.parametrize("minutes", [0, 120, -210, 840, -840, 120.0, -0.0])
def test_now_has_the_offset_of_the_learners_clock(minutes: float) -> None:
    body = CompleteBody.model_validate({"courseId": str(COURSE), "lessonId": "intro", "utcOffsetMinutes": minutes})

    now = body.now()

    assert now.utcoffset() == timedelta(minutes=minutes)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("minutes", [841, -841, "x", 0.5, "120", True, None, 1e300, float("nan")])
def test_an_offset_that_no_clock_has_is_refused(minutes: Any) -> None:
    with pytest.raises(ValidationError):
        OpenedBody.model_validate({"courseId": str(COURSE), "utcOffsetMinutes": minutes})


# Devices of the release before have sent these, and may send them again: the ids must stay.
@pytest.mark.parametrize(
    ("item", "event_id"),
    [
        (
            {"type": "CourseAccessed", "lessonId": "intro"},
            "77cd089c-5fcc-8ace-bf53-ab23fc819966",
        ),
        (
            {"type": "LessonCompleted", "lessonId": "intro", "totalLessons": 12},
            "0eb67ad1-bac6-869c-8a7c-aae06a462ab5",
        ),
    ],
)
def test_an_event_that_is_sent_again_after_an_upgrade_has_the_id_of_before(item: dict[str, Any], event_id: str) -> None:
    sent = ITEM.validate_python({**item, "courseId": str(COURSE), "occurredAt": "2026-11-22T21:04:00+01:00"})

    assert sent.derive_event_id(USER) == event_id


HYPHENATED = str(COURSE)
IDS = [
    *(HYPHENATED, HYPHENATED.upper(), COURSE.hex, f"urn:uuid:{HYPHENATED}", f"{{{HYPHENATED}}}"),
    *(HYPHENATED[1:], f"{HYPHENATED} ", f"{HYPHENATED}\n", f"URN:UUID:{HYPHENATED}", f"urn:uuid:{COURSE.hex}"),
    *("", None, 7, True, [], {}, HYPHENATED.replace("-", "_"), "g" * 32, HYPHENATED[:-1] + "\u0661"),
]
LESSONS = [
    *("a", " ", "x" * 255, "x" * 256, "\U0001f600" * 255, "\U0001f600" * 256, "e\u0301" * 127, "e\u0301" * 128),
    *("", None, 7, 7.0, True, [], ["a"], {}, "a\0", "\0", "a\n", "\ufeffa", "\u0958" * 255, "\ud800", "a\udc00b"),
]
NUMBERS = [
    *(1, 12, 10_000, 12.0, 1e4, 1.0, 0, -1, 10_001, 12.5, 0.0, 1e300, 10**40, float("inf"), float("nan")),
    *("12", "12.0", "", None, True, False, [], [12], {}),
]


def takes(read: Callable[[Any], Any], value: Any) -> Any:
    """Returns what a door makes of a value, or None where it refuses it."""
    try:
        return read(value)
    except ValidationError:
        return None


def from_topic(model: type[BaseModel], **data: Any) -> Any:
    """Reads data as Kafka's consumer does: from text."""
    return model.model_validate_json(json.dumps(data))


def over_http(model: type[BaseModel], **data: Any) -> Any:
    """Reads a body as the API does: from what Python's parser has made of the text."""
    return model.model_validate(json.loads(json.dumps(data)))


@pytest.mark.parametrize("course", IDS, ids=ascii)
def test_an_id_of_a_course_is_what_the_events_say_it_is(course: Any) -> None:
    event = takes(lambda value: from_topic(ProgressReset, user_id=HYPHENATED, course_id=value).course_id, course)
    body = takes(lambda value: over_http(ResetBody, courseId=value).course_id, course)
    required = takes(lambda value: over_http(VersionContent, lessons=[], requiresCourses=[value]), course)

    assert body == event
    assert (required is not None) == (event is not None)


@pytest.mark.parametrize("lesson", LESSONS, ids=ascii)
def test_a_lesson_is_what_the_events_say_it_is(lesson: Any) -> None:
    ids = {"user_id": HYPHENATED, "course_id": HYPHENATED}
    completed = takes(lambda value: from_topic(LessonCompleted, **ids, lesson_id=value).lesson_id, lesson)
    accessed = takes(lambda value: from_topic(CourseAccessed, **ids, lesson_id=value), lesson)
    waived = takes(lambda value: from_topic(LessonWaived, **ids, lesson_id=value, reason=value).lesson_id, lesson)

    assert (
        takes(lambda value: over_http(LessonBody, courseId=HYPHENATED, lessonId=value).lesson_id, lesson) == completed
    )
    assert takes(lambda value: over_http(WaiverBody, lessonId=value, reason=value).lesson_id, lesson) == waived
    opened = takes(lambda value: over_http(AccessBody, courseId=HYPHENATED, lessonId=value), lesson)
    assert (opened and opened.lesson_id) == (accessed and accessed.lesson_id)
    assert (opened is None) == (accessed is None)
    listed = takes(lambda value: over_http(VersionContent, lessons=[{"lessonId": value}]).lessons[0].lesson_id, lesson)
    assert listed == completed


@pytest.mark.parametrize("number", NUMBERS, ids=ascii)
def test_a_number_is_what_the_events_say_it_is(number: Any) -> None:
    ids = {"user_id": HYPHENATED, "course_id": HYPHENATED}
    event = takes(lambda value: from_topic(CourseAccessed, **ids, total_lessons=value), number)
    body = takes(lambda value: over_http(AccessBody, courseId=HYPHENATED, totalLessons=value), number)
    assert (body is None, body and body.total_lessons) == (event is None, event and event.total_lessons)

    content = {"lessons": [{"lessonId": "a"}]}
    version = takes(
        lambda value: (
            from_topic(CoursePublished, course_id=HYPHENATED, version=value, lessons=[{"lesson_id": "a"}]).version
        ),
        number,
    )
    assert takes(lambda value: over_http(TriedVersion, version=value, **content).version, number) == version
    at_least = takes(lambda value: from_topic(AtLeast, at_least=value).at_least, number)
    assert takes(lambda value: over_http(AtLeastContent, atLeast=value).at_least, number) == at_least


@pytest.mark.parametrize(
    ("at", "taken"),
    [
        ("2026-11-22T21:04:00+01:00", True),
        ("2026-11-22t21:04:00.123456789z", True),
        ("2026-02-29T21:04:00Z", False),
        ("2026-11-22T21:04Z", False),
        ("2026-11-22T21:04:00", False),
        ("2026-11-22", False),
        ("1763845440", False),
        (1763845440, False),
        (1763845440.5, False),
        (None, False),
        (True, False),
        ("", False),
    ],
)
def test_a_time_is_one_of_rfc_3339_with_an_offset(at: Any, taken: bool) -> None:
    item = {"type": "ProgressReset", "courseId": HYPHENATED, "occurredAt": at}

    assert (takes(ITEM.validate_python, item) is not None) == taken


# Accents, Hangul, a letter that NFC takes apart, and marks in another order.
@pytest.mark.parametrize("text", ["Einführung-été", "한글", "क़", "a\u0323\u0307", "Å", "plain"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_lessons_two_spellings_are_one_lesson_in_every_body(text: str, form: Any) -> None:
    nfc, sent = unicodedata.normalize("NFC", text), unicodedata.normalize(form, text)
    ids = {"courseId": HYPHENATED, "lessonId": sent}
    at = "2026-11-22T21:04:00Z"

    assert over_http(CompleteBody, **ids).lesson_id == over_http(OpenedBody, **ids).lesson_id == nfc
    assert over_http(WaiverBody, lessonId=sent, reason="ill").lesson_id == nfc
    lesson = {"lessonId": sent, "requires": [sent], "replaces": [sent]}
    [listed] = over_http(VersionContent, lessons=[lesson]).lessons
    assert (listed.lesson_id, listed.requires, listed.replaces) == (nfc, (nfc,), (nfc,))
    item = {"type": "LessonCompleted", **ids, "occurredAt": at}
    first, second = ITEM.validate_python(item), ITEM.validate_python({**item, "lessonId": nfc})
    assert first.lesson_id == second.lesson_id == nfc
    assert first.derive_event_id(USER) == second.derive_event_id(USER)
