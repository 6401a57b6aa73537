"""What says how many lessons a course has, in which order, and what is not believed."""

from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalog import CoursePublished
from tests.imports import COURSE, SITE, Imported, read_import, statement, write_lines
from worker.importers.totals import Known, parse_totals

COURSE_ID = uuid5(NAMESPACE_URL, COURSE)


def version(*lessons: str, optional: int = 0, **more: Any) -> dict[UUID, CoursePublished]:
    listed = [{"lesson_id": f"{SITE}/lesson/{id}", "required": n >= optional} for n, id in enumerate(lessons)]
    return {COURSE_ID: CoursePublished(course_id=COURSE_ID, version=3, lessons=listed, **more)}


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    path = write_lines(tmp_path, statement("a"), statement("b"), statement("a", learner="ben"))
    return lambda known: read_import(path, known=known)


@pytest.mark.parametrize(
    ("known", "in_events", "complete"),
    [
        (Known(), None, None),
        (Known(given={COURSE_ID: 2}), 2, 1),
        (Known(given={COURSE_ID: 3}), 3, 0),
        (Known(given={COURSE_ID: 1}), None, None),
        (Known(every=2), 2, 1),
        (Known(every=1), None, None),
        (Known(catalog=version("a", "b")), 2, 1),
        (Known(catalog=version("a", "b", "c")), 3, 0),
        (Known(catalog=version("a", "c")), None, None),
        (Known(catalog=version("a", "b", "c", optional=1)), None, None),
        (Known(catalog=version("a", "b", rule={"at_least": 1})), None, None),
        (Known(published=version("a", "c")), None, 0),
        (Known(published=version("b", "a", optional=1)), None, 2),
        (Known(published=version("a", "b"), given={COURSE_ID: 5}), None, 1),
        (Known(given={COURSE_ID: 2}, every=7), 2, 1),
    ],
)
def test_a_total_is_used_only_where_counting_lessons_is_right(
    imported: Any, known: Known, in_events: int | None, complete: int | None
) -> None:
    found: Imported = imported(known)

    assert found.totals == {in_events}
    assert found.report.courses[0].would_complete == complete


def test_a_database_that_is_away_is_told(imported: Any) -> None:
    assert "not asked" in imported(Known(not_asked="it is away")).report.warnings[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12345"), st.booleans()), min_size=1, max_size=12),
    cuts=st.sets(st.integers(1, 11), max_size=3),
    total=st.none() | st.integers(1, 6),
)
def test_however_an_export_is_cut_no_total_is_below_what_its_learners_have_completed(
    tmp_path: Path, said: list[tuple[str, str, bool]], cuts: set[int], total: int | None
) -> None:
    """No cut of a history into exports makes a course complete that the whole of it does not."""
    lines = [
        statement(lesson, result={"completion": done}, learner=learner, minute=minute)
        for minute, (learner, lesson, done) in enumerate(said)
    ]
    edges = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    known = Known(given={COURSE_ID: total} if total else {})
    for number, (start, end) in enumerate(pairwise(edges)):
        found = read_import(write_lines(tmp_path, *lines[start:end], name=str(number)), known=known)
        assert found.totals <= {None, total}
        assert all(event[0].total_lessons is None or total >= len(set(found.completed)) for event in found.events)


def test_totals_are_given_by_the_id_that_the_files_have_or_by_the_uuid() -> None:
    assert parse_totals([f"{COURSE}=12", f"{SITE}/view?id=2=4"])[COURSE_ID] == 12
    assert parse_totals([f"{COURSE_ID}=12"]) == {COURSE_ID: 12}


@pytest.mark.parametrize("text", ["12", "=12", "a=", "a=0", "a=b", "a=10001", "a=-1"])
def test_what_is_no_total_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="COURSE=N"):
        parse_totals([text])
