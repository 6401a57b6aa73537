"""What statements say of progress, in the forms in which record stores and players make them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from tests.imports import ADA, ADL, COURSE, SITE, Imported, activity, read_import, statement, write_lines
from worker.errors import ProgressError
from worker.importers.totals import Known
from worker.importers.xapi import XapiReader

SECTION = "http://id.tincanapi.com/activitytype/section"
CMI5 = {"id": "https://w3id.org/xapi/cmi5/context/categories/cmi5"}
CMI5_COURSE = "https://w3id.org/xapi/cmi5/activitytype/course"


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    def read(*statements: Any, **options: Any) -> Imported:
        return read_import(write_lines(tmp_path, *statements), **options)

    return read


def test_a_completed_lesson_keeps_the_statements_id_time_and_offset(imported: Any) -> None:
    said = statement(timestamp="2026-03-02T10:00:00.25+01:00")
    [(event, at, id, cause)] = imported(said).events

    assert (event.course_id, event.lesson_id) == (uuid5(NAMESPACE_URL, COURSE), f"{SITE}/lesson/1")
    assert (at.isoformat(), id, cause) == ("2026-03-02T10:00:00.250000+01:00", said["id"], "imported")


# Who


@pytest.mark.parametrize(
    ("actor", "user"),
    [
        ({"account": {"homePage": SITE, "name": ADA}}, UUID(ADA)),
        ({"account": {"name": ADA}}, UUID(ADA)),
        ({"account": {"homePage": SITE, "name": "7"}}, uuid5(NAMESPACE_URL, f"{SITE} 7")),
        ({"account": {"homePage": SITE, "name": 7}}, uuid5(NAMESPACE_URL, f"{SITE} 7")),
        ({"openid": "https://ada.example/"}, uuid5(NAMESPACE_URL, "https://ada.example/")),
    ],
)
def test_a_learner_is_derived_as_documented(imported: Any, actor: Any, user: UUID) -> None:
    assert imported(statement(actor=actor)).learners == {user}


def test_a_mailbox_in_any_case_and_its_sha1_are_one_learner(imported: Any) -> None:
    digest = hashlib.sha1(b"mailto:ada@lms.example").hexdigest()
    actors = [{"mbox": "mailto:ada@lms.example"}, {"mbox": "mailto:Ada@LMS.example"}, {"mbox_sha1sum": digest}]
    found = imported(*(statement(actor=actor, minute=n) for n, actor in enumerate(actors)))

    assert found.learners == {uuid5(NAMESPACE_URL, f"mbox_sha1sum:{digest}")}


def test_one_name_at_two_sites_is_two_learners(imported: Any) -> None:
    actors = [{"account": {"homePage": f"https://{site}.example", "name": "2"}} for site in ("north", "south")]

    assert len(imported(*(statement(actor=actor) for actor in actors)).learners) == 2


@pytest.mark.parametrize(
    "actor",
    [
        {"objectType": "Group", "member": [{"mbox": "mailto:a@lms.example"}]},
        {"objectType": "Group", "account": {"homePage": SITE, "name": "team"}},
    ],
)
def test_a_group_is_skipped_and_counted(imported: Any, actor: Any) -> None:
    found = imported(statement(actor=actor), statement())

    assert len(found.events) == 1
    assert found.report.skipped == {"actor is a group": 1}


@pytest.mark.parametrize("actor", [None, {}, {"account": {"name": "7"}}, {"account": {"homePage": SITE}}, {"mbox": 7}])
def test_half_of_an_identity_is_malformed(imported: Any, actor: Any) -> None:
    assert imported(statement(actor=actor)).report.malformed == 1


# What it says


@pytest.mark.parametrize(
    ("verb", "result", "kind"),
    [
        *[(name, None, "LessonCompleted") for name in ("completed", "passed", "mastered", "satisfied", "waived")],
        ("https://w3id.org/xapi/adl/verbs/satisfied", None, "LessonCompleted"),
        ("https://w3id.org/xapi/adl/verbs/waived", None, "LessonCompleted"),
        ("http://activitystrea.ms/schema/1.0/complete", None, "LessonCompleted"),
        ("progressed", {"completion": True}, "LessonCompleted"),
        (
            "progressed",
            {"extensions": {"https://w3id.org/xapi/cmi5/result/extensions/progress": 100}},
            "LessonCompleted",
        ),
        (
            "progressed",
            {"extensions": {"http://w3id&46;org/xapi/cmi5/result/extensions/progress": 100}},
            "LessonCompleted",
        ),
        ("progressed", {"extensions": {"https://w3id.org/xapi/cmi5/result/extensions/progress": 99}}, "CourseAccessed"),
        ("progressed", {"completion": False}, "LessonUncompleted"),
        ("completed", {"completion": False}, "LessonUncompleted"),
        ("completed", {"completion": True, "success": False}, "LessonCompleted"),
        ("terminated", {"completion": True}, "LessonCompleted"),
        ("attempted", {"completion": False}, "CourseAccessed"),
        ("https://xapi.edlm/profiles/edlm-lms/concepts/verbs/uncompleted", None, "LessonUncompleted"),
        *[
            (name, None, "CourseAccessed")
            for name in ("experienced", "launched", "attempted", "initialized", "resumed")
        ],
        ("http://id.tincanapi.com/verb/viewed", None, "CourseAccessed"),
        ("https://w3id.org/xapi/video/verbs/played", None, "CourseAccessed"),
        ("http://anything.example/x/completed", None, None),
        ("http://id.tincanapi.com/verb/downloaded", None, None),
    ],
)
def test_a_verb_means_what_its_iri_says(imported: Any, verb: str, result: Any, kind: str | None) -> None:
    found = imported(statement(verb=verb, result=result))

    assert [name for name, _ in found.kinds] == ([kind] if kind else [])
    assert bool(found.report.skipped) == (kind is None)


def test_an_option_gives_a_verb_a_meaning(imported: Any) -> None:
    own = {"anything.example/x/finished": "completed", "adlnet.gov/expapi/verbs/passed": "ignored"}
    said = [statement("1", "http://anything.example/x/finished"), statement("2", "passed")]

    assert imported(*said, make_reader=lambda spool: XapiReader(spool, verbs=own)).completed == ["1"]


@pytest.mark.parametrize("void_first", [False, True])
def test_a_voided_statement_takes_back_what_an_earlier_import_published(imported: Any, void_first: bool) -> None:
    said = [statement("1"), statement("2", minute=5)]
    void = statement(verb="voided", minute=9, object={"objectType": "StatementRef", "id": said[1]["id"].upper()})
    found = imported(*([void, *said] if void_first else [*said, void]))
    taken_back = found.events[-1]

    assert found.kinds == [("LessonCompleted", "1"), ("LessonUncompleted", "2")]
    assert taken_back[1] - datetime(2026, 3, 2, 10, 5, tzinfo=UTC) == timedelta(microseconds=1)


def test_a_lesson_with_another_completion_stays_completed(imported: Any) -> None:
    said = [statement("1"), statement("1", "passed", minute=5)]
    void = statement(verb="voided", object={"objectType": "StatementRef", "id": said[1]["id"]})

    assert imported(*said, void).kinds == [("LessonCompleted", "1")]


def test_a_void_of_a_statement_elsewhere_is_reported(imported: Any) -> None:
    void = statement(verb="voided", object={"objectType": "StatementRef", "id": ADA})
    found = imported(statement(), void)

    assert len(found.events) == 1
    assert "1 voided statements are not among" in found.report.warnings[0]


def test_what_is_no_activity_is_skipped(imported: Any) -> None:
    assert imported(statement(object={"objectType": "StatementRef", "id": ADA})).report.malformed == 0


# When


@pytest.mark.parametrize(
    "timestamp",
    ["2026-03-02T10:00:00+05:30", "2026-03-02T10:00:00-0330", "2026-03-02T10:00:00+01", 1772445600, 1772445600000],
)
def test_a_time_in_many_forms_is_read(imported: Any, timestamp: Any) -> None:
    assert len(imported(statement(timestamp=timestamp)).events) == 1


@pytest.mark.parametrize(
    "timestamp",
    [
        None,
        "yesterday",
        "2026-03-02T10:00:00",
        "1970-01-01T00:07:12Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59Z",
        10**30,
        {"$date": {}},
    ],
)
def test_a_time_that_no_event_can_have_is_malformed_and_the_rest_is_read(imported: Any, timestamp: Any) -> None:
    found = imported(statement("1"), statement("2", timestamp=timestamp), statement("3"))

    assert found.completed == ["1", "3"]
    assert [line.partition(":")[0] for line in found.said] == ["line 2"]


def test_the_time_of_storing_stands_in(imported: Any) -> None:
    [event] = imported(statement(timestamp=None, stored="2026-03-02T11:00:00Z")).events

    assert event[1].hour == 11


def test_a_statement_without_an_id_has_the_same_one_each_time(imported: Any) -> None:
    said = {name: value for name, value in statement().items() if name != "id"}

    assert imported(said).events[0][2] == imported(said | {"stored": "2026-03-03T00:00:00Z"}).events[0][2]


# Where


def test_the_course_is_what_has_its_type(imported: Any) -> None:
    course = activity(COURSE, CMI5_COURSE, "Course one")
    found = imported(
        statement("1", parent=[activity("urn:section", SECTION), course]),
        statement("2", parent=[activity("urn:module", "module")], grouping=[course]),
        statement("3", parent=course, grouping=[activity("urn:other", "course")]),
    )

    assert (found.courses, found.completed) == ([COURSE], ["1", "2", "3"])
    assert found.report.courses[0].title == "Course one"


def test_what_is_a_course_elsewhere_needs_no_type(imported: Any) -> None:
    found = imported(
        statement("1", parent=[{"id": COURSE}], grouping=[{"id": "urn:other"}]),
        statement(object=activity(COURSE, "course"), parent=[]),
        statement(object={"id": COURSE}, parent=[]),
        statement(object=activity(COURSE, "course"), verb="passed", parent=[{"id": COURSE}]),
    )

    assert (found.courses, found.completed) == ([COURSE], ["1"])
    assert found.report.skipped == {"about the course itself": 3}


def test_a_parent_without_any_type_is_the_course(imported: Any) -> None:
    assert imported(statement(parent=[{"id": COURSE}])).courses == [COURSE]
    assert imported(statement(parent={"id": COURSE})).courses == [COURSE]


@pytest.mark.parametrize(
    ("parent", "grouping"),
    [
        ([], []),
        ([{"id": "urn:a"}, {"id": "urn:b"}], []),
        ([{"id": "urn:a"}], [{"id": "urn:b"}]),
        ([activity("urn:a", "module")], []),
    ],
)
def test_a_course_that_is_ambiguous_is_malformed(imported: Any, parent: Any, grouping: Any) -> None:
    found = imported(statement(parent=parent, grouping=grouping))

    assert (len(found.events), found.report.malformed) == (0, 1)
    assert "--course-from" in found.said[0]


@pytest.mark.parametrize(
    ("course_from", "course"), [("parent", "urn:a"), ("grouping", "urn:b"), ("urn:mine", "urn:mine")]
)
def test_an_option_says_what_the_course_is(imported: Any, course_from: str, course: str) -> None:
    said = statement(parent=[{"id": "urn:a"}], grouping=[{"id": "urn:b"}])

    assert imported(said, make_reader=lambda spool: XapiReader(spool, course_from)).courses == [course]


def test_a_part_of_a_lesson_is_no_lesson_and_its_lesson_no_course(imported: Any) -> None:
    course = [activity(COURSE, "course")]
    found = imported(
        statement("1/part", parent=[activity(f"{SITE}/lesson/1", "lesson")], grouping=course),
        statement("2/part", parent=[{"id": f"{SITE}/lesson/2"}], grouping=course),
        statement("2"),
        statement("3", object=activity(f"{SITE}/lesson/3?subContentId=7"), parent=[{"id": f"{SITE}/lesson/3"}]),
        statement("4", "answered", object=activity("urn:question", "cmi.interaction"), result={"completion": True}),
    )

    assert (found.courses, found.completed) == ([COURSE], ["2"])
    assert found.report.skipped == {"about a part of a lesson": 4}


def test_an_attempt_at_a_quiz_completes_the_quiz(imported: Any) -> None:
    above = [activity(f"{SITE}/lesson/quiz", "assessment"), activity("urn:s", SECTION), activity(COURSE, CMI5_COURSE)]
    attempts = [statement(object=activity(f"urn:attempt:{n}", "attempt"), parent=above, minute=n) for n in (1, 2)]

    assert imported(*attempts).completed == ["quiz", "quiz"]


def test_cmi5_finds_the_course_by_the_registration(imported: Any) -> None:
    def said(lesson: str, verb: str, category: bool = True, **more: Any) -> Any:
        activities = {"grouping": [{"id": f"urn:publisher:{lesson}"}], "category": [CMI5] if category else []}
        context = {"registration": ADA, "contextActivities": activities}
        return statement(lesson, verb, context=context, **more)

    satisfied = "https://w3id.org/xapi/adl/verbs/satisfied"
    found = imported(
        said("1", "completed"),
        said("2", "passed"),
        said("slide", "passed", category=False),
        said("x", satisfied, object=activity("urn:course", CMI5_COURSE)),
    )

    assert (found.courses, found.completed) == (["urn:course"], ["1", "2"])
    assert imported(said("1", "completed")).report.malformed == 1


def test_courses_and_lessons_that_were_exported_have_their_ids_again(imported: Any) -> None:
    course = activity(f"urn:uuid:{ADA}", "course")
    [event] = imported(statement(object={"id": f"urn:uuid:{ADA}#a%2Fb"}, parent=[course])).events

    assert (event[0].course_id, event[0].lesson_id) == (UUID(ADA), "a/b")


# Totals


def test_a_course_whose_total_nobody_says_stays_open(imported: Any) -> None:
    found = imported(statement("1"), statement("2"))

    assert found.totals == {None}
    assert found.report.courses[0].would_complete is None
    assert "--derive-catalog" in found.report.warnings[0]


def test_exports_by_the_week_complete_nobody_before_the_time(tmp_path: Path) -> None:
    """Each week's file names fewer lessons than the course has."""
    known = Known(given={uuid5(NAMESPACE_URL, COURSE): 4})
    weeks = (
        [statement(str(n), learner="ben", minute=n) for n in range(4)],
        [statement("0"), statement("1")],
        [statement("2")],
    )
    paths = [write_lines(tmp_path, *week, name=f"week{number}") for number, week in enumerate(weeks)]

    assert [read_import(path, known=known).totals for path in paths] == [{4}] * 3
    assert read_import(*paths, known=known).report.courses[0].would_complete == 1


# Wrappings and formats


@pytest.mark.parametrize(
    "wrap",
    [
        lambda said: {"statement": said, "voided": False, "_id": {"$oid": "1"}},
        lambda said: {"_source": said, "_index": "statements"},
        lambda said: {"_source": {"statement": said}},
        lambda said: {"statements": [said], "more": ""},
        lambda said: {"edges": [{"cursor": "1", "node": {"statement": said}}], "pageInfo": {"hasNextPage": False}},
        lambda said: [said],
    ],
)
def test_what_an_export_puts_around_a_statement_is_taken_off(imported: Any, wrap: Any) -> None:
    assert imported(wrap(statement("1")), wrap(statement("2"))).completed == ["1", "2"]


def test_an_export_that_marks_a_voided_statement_takes_it_back(imported: Any) -> None:
    assert imported({"statement": statement("1"), "voided": True}).kinds == [("LessonUncompleted", "1")]


def test_a_page_of_several_warns(imported: Any) -> None:
    found = imported({"statements": [statement()], "more": "/xapi/statements?cursor=x"})

    assert "one page of several" in found.report.warnings[0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"sensor": "urn:s", "data": [{"@context": "http://purl.imsglobal.org/ctx/caliper/v1p2"}]}', "Caliper"),
        ("user,course,time\n1,2,3", "import csv"),
        ("id,coursemoduleid,completionstate\n1,2,3", "import moodle"),
        ('2026-03-02 [tracking] [user 1] - {"event_type": "play"}', "import openedx"),
        ("hello", "text"),
    ],
)
def test_another_format_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ProgressError, match=named):
        read_import(write_lines(tmp_path, text))


@pytest.mark.parametrize(
    "wrong",
    [
        *(["x"], "x", 7, None, {}, {"verb": None}, {"verb": {"id": ""}}, {"verb": {"id": ADL + "completed"}}),
        *(statement(object=thing) for thing in (None, {}, {"id": ""}, {"id": 7}, {"id": "x" * 256}, {"id": "a\x00b"})),
        *(statement(object={"id": "\ud800"}), statement(id=""), statement(id=7), statement(context=7)),
        *(statement(context={"contextActivities": 7}), statement(context={"contextActivities": {"parent": [7, {}]}})),
        statement(object={"id": "1", "definition": {"name": 7, "type": 7}}, timestamp=[]),
    ],
    ids=str,
)
def test_what_no_event_can_be_made_of_is_malformed_by_its_line(imported: Any, wrong: Any) -> None:
    found = imported(statement("1"), "[]", json.dumps(wrong) if not isinstance(wrong, list) else '["x"]')

    assert (found.completed, found.report.malformed) == (["1"], 1)
    assert found.said[0].startswith("line 3: ")
