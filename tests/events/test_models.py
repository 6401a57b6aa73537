import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from pydantic import ValidationError

from events.models import (
    COURSE_EVENTS,
    LESSON_EVENTS,
    CertificateIssued,
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    LessonCompleted,
    LessonUncompleted,
    LessonWaived,
    course_event_id,
    normalize_lesson_id,
)

USER = UUID("0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01")
COURSE = UUID("c7f3a1de-2b44-4e0b-8a51-64a4b8f0c902")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WHO_AND_WHERE = {"user_id": str(USER), "course_id": str(COURSE)}


def lesson_completed(**changes: object) -> LessonCompleted:
    data = {**WHO_AND_WHERE, "lesson_id": "intro", "total_lessons": 20, **changes}
    return LessonCompleted.model_validate_json(json.dumps(data))


@pytest.mark.parametrize("lesson_id", ["a", "ä" * 255, "😀" * 255, "two\nlines", " "])
def test_a_lesson_id_is_any_text_of_1_to_255_characters(lesson_id: str) -> None:
    event = lesson_completed(lesson_id=lesson_id)

    assert event.lesson_id == lesson_id


@pytest.mark.parametrize("lesson_id", ["", "a" * 256, "a\x00b", "\x00", "\ud800", "a\udfff", 5, None, ["a"]])
def test_what_postgresql_cannot_store_as_text_is_no_lesson_id(lesson_id: object) -> None:
    with pytest.raises(ValidationError, match=r"lesson_id|JSON"):
        lesson_completed(lesson_id=lesson_id)


@pytest.mark.parametrize("model", [LessonCompleted, LessonUncompleted, CourseAccessed, LessonWaived])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("e\u0301te\u0301", "été"),
        ("été", "été"),
        ("Einfu\u0308hrung", "Einführung"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u212b", "Å"),
        ("ﬁ", "ﬁ"),  # NFC keeps what only looks alike
        ("intro ", "intro "),
        ("a" * 255, "a" * 255),
    ],
)
def test_a_lesson_id_is_kept_in_nfc(model: type[LessonCompleted], sent: str, kept: str) -> None:
    data = {**WHO_AND_WHERE, "lesson_id": sent, "total_lessons": 20, "reason": "school"}

    assert normalize_lesson_id(sent) == kept
    assert model.model_validate_json(json.dumps(data)).lesson_id == kept
    assert model.model_validate(data).lesson_id == kept


def test_the_length_of_a_lesson_id_is_the_one_that_was_sent() -> None:
    assert lesson_completed(lesson_id="\ufb2c" * 255).lesson_id == "\u05e9\u05bc\u05c1" * 255  # NFC is longer
    assert lesson_completed(lesson_id="e\u0301" * 127).lesson_id == "é" * 127
    with pytest.raises(ValidationError, match="lesson_id"):
        lesson_completed(lesson_id="e\u0301" * 128)  # 256 as sent, 128 in NFC


@pytest.mark.parametrize("model", [LessonCompleted, LessonUncompleted, CourseAccessed])
def test_a_lone_surrogate_is_refused_from_json_and_from_python(model: type[LessonCompleted]) -> None:
    data = {**WHO_AND_WHERE, "lesson_id": "\ud800", "total_lessons": 20}

    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(data))
    with pytest.raises(ValidationError):
        model.model_validate(data)


@pytest.mark.parametrize("total", [1, 10_000])
def test_a_course_has_1_to_10000_lessons(total: int) -> None:
    assert lesson_completed(total_lessons=total).total_lessons == total


@pytest.mark.parametrize("total", [0, -1, 10_001, 10**30, "5", 5.5, 1e300, True])
def test_anything_else_is_no_number_of_lessons(total: object) -> None:
    with pytest.raises(ValidationError, match="total_lessons"):
        lesson_completed(total_lessons=total)


def test_unknown_fields_are_ignored() -> None:
    assert lesson_completed(device="phone") == lesson_completed()


def test_an_event_cannot_be_changed() -> None:
    event = lesson_completed()

    with pytest.raises(ValidationError, match="frozen"):
        event.total_lessons = 5


def test_an_access_may_name_no_lesson() -> None:
    assert CourseAccessed(user_id=USER, course_id=COURSE).lesson_id is None


def test_a_completion_at_a_time_without_offset_is_refused() -> None:
    numbers = {"completion_number": 1, "lessons_completed": 1, "total_lessons": 1}

    with pytest.raises(ValidationError, match="completed_at"):
        CourseCompleted(
            user_id=USER,
            course_id=COURSE,
            completed_at=datetime(2026, 11, 23),
            started_at=datetime(2026, 11, 23, tzinfo=UTC),
            **numbers,
        )


def test_a_revocation_may_know_no_total() -> None:
    event = CourseCompletionRevoked(
        user_id=USER,
        course_id=COURSE,
        revoked_at=datetime(2026, 11, 23, tzinfo=UTC),
        completion_number=1,
        lessons_completed=0,
        total_lessons=None,
    )

    assert CourseCompletionRevoked.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "change",
    [
        {"code": "k5xw63tfon2ca5dimuqgy2lom"},  # 25 characters
        {"code": "K5XW63TFON2CA5DIMUQGY2LOMU"},
        {"code": "k5xw63tfon2ca5dimuqgy2lom1"},
        {"issue": 0},
        {"issued_at": "2026-11-23T12:00:00"},
        {"completion_number": 0},
    ],
    ids=str,
)
def test_a_certificate_that_has_no_such_code_or_number_is_refused(change: dict[str, object]) -> None:
    good = {**WHO_AND_WHERE, "code": "k5xw63tfon2ca5dimuqgy2lomu", "course_version": 2, "completion_number": 1}
    good |= {"issue": 1, "issued_at": "2026-11-23T12:00:00Z"}
    assert CertificateIssued.model_validate(good).issue == 1

    with pytest.raises(ValidationError, match=next(iter(change))):
        CertificateIssued.model_validate(good | change)


def test_the_type_on_the_wire_is_the_name_of_the_model() -> None:
    models = {**LESSON_EVENTS, **COURSE_EVENTS}

    assert list(models) == [model.__name__ for model in models.values()]


def test_the_id_of_a_course_event_is_for_ever_the_same() -> None:
    # The value that PostgreSQL computes for the same arguments. It may never change.
    first = course_event_id("CourseCompleted", USER, COURSE, 1, NOON)

    assert first == UUID("b32a28b2-cb16-8db0-a327-e716396fe5f4")
    assert first.version == 8


def test_every_event_of_every_completion_has_an_id_of_its_own() -> None:
    times = (NOON, NOON + timedelta(microseconds=1))
    ids = {course_event_id(name, USER, COURSE, n, at) for name in COURSE_EVENTS for n in (1, 2, 3) for at in times}

    assert len(ids) == len(COURSE_EVENTS) * 3 * 2


def test_the_id_names_an_instant_in_whatever_time_zone_it_is_written() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert course_event_id("CourseCompleted", USER, COURSE, 1, elsewhere) == course_event_id(
        "CourseCompleted", USER, COURSE, 1, NOON
    )
