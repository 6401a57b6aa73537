"""A type with a domain and a version is read, one that is only misspelt is a dead letter, and the rest is unknown."""

import pytest

from events.catalog import CATALOG_EVENTS
from events.envelope import MalformedEvent, UnknownType
from events.kinds import Kind
from events.models import LESSON_EVENTS
from events.type_names import find_other_versions, find_type
from tests.events.forms import ATTRIBUTES, DATA, EVENT, Form, decoded, every_form

KNOWN = (*LESSON_EVENTS, *CATALOG_EVENTS)


@pytest.mark.parametrize(
    "type",
    [
        "com.example.player.LessonCompleted",
        "com.example.player.LessonCompleted.v1",
        "LessonCompleted.v1",
        "LessonCompleted.v1.4",
        "com.example.LessonCompleted.1.0",
        "com.example.LessonCompleted/v1",
        "com.example.LessonCompletedV1",
        "com.example.v3.LessonCompleted",
        "com.xn--bcher-kva.LessonCompleted",
        "io.my-company.courses.LessonCompleted",
        "https://example.com/events/LessonCompleted",
        "urn:example:LessonCompleted:v1",
        "player/LessonCompleted",
    ],
)
@every_form
def test_a_domain_before_and_a_version_behind_are_read(form: Form, type: str) -> None:
    assert decoded(form({**ATTRIBUTES, "type": type}, DATA)) == EVENT


@pytest.mark.parametrize("type", ["com.example.LessonCompleted.v2", "LessonCompleted.V2", "x.LessonCompleted.v2.1"])
@every_form
def test_another_major_version_is_one_of_the_event(form: Form, type: str) -> None:
    with pytest.raises(MalformedEvent, match="type: another major version of LessonCompleted") as error:
        decoded(form({**ATTRIBUTES, "type": type}, DATA))
    assert error.value.kind is Kind.VERSION


@pytest.mark.parametrize(
    "type",
    [
        "lessonCompleted",
        "Lessoncompleted",
        "LESSONCOMPLETED",
        "LessonCompleted ",
        " LessonCompleted",
        "LessonCompleted\n",
        "\u00a0LessonCompleted",
        "Lesson Completed",
        "lesson completed",
        "'LessonCompleted'",
        "\u201cLessonCompleted\u201d",
        '"LessonCompleted',
        "lesson_completed",
        "LESSON_COMPLETED",
        "lesson-completed",
        "lesson.completed",
        "lesson.completed.v1",
        "com.example.lesson.completed",
        "com.example.player.lesson_completed.v2",
        "com.example.lessonCompleted.v1",
        "LessonCompleted.",
        ".LessonCompleted",
        "LessonCompleted.7",
        "lesson/completed",
        "lesson:completed",
    ],
)
@every_form
def test_a_misspelt_type_is_a_dead_letter_that_names_the_known_one(form: Form, type: str) -> None:
    with pytest.raises(MalformedEvent, match="type: not LessonCompleted, but differs from it only in") as error:
        decoded(form({**ATTRIBUTES, "type": type}, DATA))
    assert error.value.kind is Kind.TYPE


@pytest.mark.parametrize(
    "type",
    [
        "BadgeEarned",
        "CourseCompleted",
        "com.example.BadgeEarned.v1",
        "XLessonCompleted",
        "com.example.NotLessonCompleted",
        "LessonCompletedAgain",
        "LessonComplete",
        "Lesson",
        "completed",
        "com.example.LessonCompleted.player",
        "v1",
        "...",
        "x" * 1_000,
        "lesson." * 140,
    ],
)
@every_form
def test_what_is_really_unknown_is_skipped_under_the_name_that_it_has(form: Form, type: str) -> None:
    with pytest.raises(UnknownType) as error:
        decoded(form({**ATTRIBUTES, "type": type}, DATA))
    assert error.value.type == type


@pytest.mark.parametrize("name", KNOWN)
def test_every_type_is_found_however_it_is_spelt(name: str) -> None:
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in name).lower().split()

    for spelt in (name.lower(), name.upper(), *(separator.join(words) for separator in "_-. ")):
        assert find_type(f"com.example.{spelt}", KNOWN) == (name, 1, False), spelt
    assert find_type(f"com.example.{name}.v3", KNOWN) == (name, 3, True)


@pytest.mark.parametrize(
    ("dataschema", "of"),
    [
        ("urn:course-progress:LessonCompleted:2.0", "LessonCompleted"),
        ("URN:COURSE-PROGRESS:LessonCompleted:2.0", "LessonCompleted"),
        ('"urn:course-progress:LessonCompleted:2.0"', "LessonCompleted"),
        ("urn:course-progress:LessonCompleted:1.9", ""),
        ("https://schemas.example/LessonCompleted/v2", "LessonCompleted"),
        ("https://schemas.example/LessonCompleted/v2.1.json", "LessonCompleted"),
        ("https://schemas.example/LessonCompleted/v2/schema.json?raw#x", "LessonCompleted"),
        ("LessonCompleted/v2", "LessonCompleted"),
        ("https://schemas.example/LessonCompleted/V2", "LessonCompleted"),
        ("https://schemas.example/api/v1/LessonCompleted/v2", "LessonCompleted"),
        ("https://schemas.example/apis/registry/v3/groups/LessonCompleted/v2", "LessonCompleted registry"),
        ("https://schemas.example/LessonCompleted/v1", ""),
        ("https://schemas.example/LessonCompleted/2", ""),
        ("https://schemas.example/LessonCompleted/versions/2", ""),
        ("https://schemas.example/subjects/LessonCompleted-value/versions/12", ""),
        ("http://registry:8081/schemas/ids/2", ""),
        ("http://registry:2", ""),
        ("https://registry.example/apis/ccompat/v7/schemas/ids/2", "ccompat"),  # which is no type
        ("https://registry.example/apis/registry/v3/groups/2", "registry"),
        ("urn:uuid:0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a02", ""),
        ("urn:example:LessonCompleted:2", ""),
        ("https://schemas.example/lesson.json?version=2", ""),
        ("2", ""),
        ("LessonCompleted:2", ""),
    ],
)
def test_only_the_contracts_own_name_speaks_of_another_version(dataschema: str, of: str) -> None:
    assert find_other_versions(dataschema) == frozenset(of.split())


@pytest.mark.parametrize(
    "dataschema",
    [
        "https://registry.example/apis/ccompat/v7/schemas/ids/2",
        "https://registry.example/apis/registry/v3/groups/default/artifacts/LessonCompleted/versions/2",
        "https://schemas.example/LessonCompleted/2",
        "https://schemas.example/LessonCompleted/12.3",
        "https://schemas.example/badges/v2",
        "https://schemas.example/" + "x" * 300 + "/LessonCompleted/v2",
        "7",
    ],
)
@every_form
def test_a_strangers_schema_rejects_nothing(form: Form, dataschema: str) -> None:
    assert decoded(form({**ATTRIBUTES, "dataschema": dataschema}, DATA)) == EVENT
