"""Writes facts and progress as xAPI statements, in cmi5's words. Pure.

A course is the activity `urn:uuid:<its id>`, a lesson `urn:uuid:<the course's id>#<its id, percent-encoded>`, a learner
the account whose name is the user's id. Ids of statements are made of what they say, so a record store that has them
takes them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5

from worker.exports.facts import Fact, Row

COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
LESSON_TYPE = "http://adlnet.gov/expapi/activities/lesson"
PROGRESS = "https://w3id.org/xapi/cmi5/result/extensions/progress"
REASON = "https://w3id.org/xapi/cmi5/result/extensions/reason"
VERBS = {
    "completed": "http://adlnet.gov/expapi/verbs/completed",
    "progressed": "http://adlnet.gov/expapi/verbs/progressed",
    "experienced": "http://adlnet.gov/expapi/verbs/experienced",
    "satisfied": "https://w3id.org/xapi/adl/verbs/satisfied",
    "waived": "https://w3id.org/xapi/adl/verbs/waived",
}
Statement = dict[str, Any]


def state_facts(facts: Sequence[Fact], site: str) -> Iterator[Statement]:
    """Yields the statements of one progress row's facts. xAPI has no word for a waiver that was withdrawn: neither is
    stated."""
    withdrawn = {fact.lesson: fact.time for fact in facts if fact.event == "LessonWaiverWithdrawn"}
    for fact in facts:
        match fact.event:
            case "LessonCompleted":
                yield state(fact, site, "completed", {"completion": True})
            case "LessonUncompleted":
                yield state(fact, site, "progressed", {"completion": False})
            case "LessonWaived" if fact.time >= withdrawn.get(fact.lesson, fact.time):
                yield state(fact, site, "waived", {"extensions": {REASON: fact.reason}})
            case "CourseAccessed":
                yield state(fact, site, "experienced", None)


def state(fact: Fact, site: str, verb: str, result: Mapping[str, Any] | None) -> Statement:
    course = describe_course(fact.course)
    statement = build(site, fact.user, verb, fact.time, fact.lesson or "", course, result)
    if fact.lesson is not None:
        statement["object"] = describe_lesson(fact.course, fact.lesson)
        statement["context"] = {"contextActivities": {"parent": [course]}}
    return statement


def state_progress(row: Row, site: str) -> Statement:
    """States how far a learner is: the course is satisfied, or there is progress in it."""
    done = row["completed_at"]
    result = {"completion": bool(done), "extensions": {PROGRESS: row["progress_percentage"]}}
    verb, at = ("satisfied", done) if done else ("progressed", row["last_accessed_at"])
    return build(site, row["user"], verb, at, "", describe_course(row["course"]), result)


def build(
    site: str, user: UUID, verb: str, at: datetime, lesson: str, about: Statement, result: Mapping[str, Any] | None
) -> Statement:
    said = f"{user} {about['id']} {lesson} {verb} {at.astimezone(UTC).isoformat()} {result}"
    statement = {
        "id": str(uuid5(NAMESPACE_URL, said)),
        "actor": {"objectType": "Agent", "account": {"homePage": site, "name": str(user)}},
        "verb": {"id": VERBS[verb], "display": {"en": verb}},
        "object": about,
        "timestamp": at.isoformat(),
    }
    return statement | ({"result": dict(result)} if result else {})


def describe_course(course: UUID) -> Statement:
    return {"objectType": "Activity", "id": f"urn:uuid:{course}", "definition": {"type": COURSE_TYPE}}


def describe_lesson(course: UUID, lesson: str) -> Statement:
    id = f"urn:uuid:{course}#{quote(lesson, safe='')}"
    return {"objectType": "Activity", "id": id, "definition": {"type": LESSON_TYPE}}
