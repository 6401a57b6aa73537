"""Reads xAPI statements by their meaning, whatever a record store puts around them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from worker.errors import ProgressError
from worker.importers.formats import name_lines
from worker.importers.identity import Learner, identify_mailbox, identify_sha1, parse_uuid
from worker.importers.json_stream import Broken, JsonStream
from worker.importers.opening import Part
from worker.importers.records import (
    Malformed,
    Outcome,
    Record,
    Skipped,
    Unreadable,
    make_id,
    read_lesson,
    read_time,
)
from worker.importers.spool import Spool
from worker.importers.xapi_places import Activity, Place, find_place, read_activity
from worker.importers.xapi_verbs import decide

WRAPPINGS = ("statement", "_source", "node")  # of Learning Locker, of Elasticsearch, of a connection
OWN = "urn:uuid:"  # of a course that `course-progress export` wrote; its lessons are `course#lesson`
LONGEST_TITLE = 500
identify_mailbox = lru_cache(maxsize=10_000)(identify_mailbox)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Holds a record whose course is decided when all files are read."""

    record: Record
    place: str


@dataclass
class XapiReader:
    """Reads statements. `course_from`: `type`, `parent`, `grouping`, or the id of the one course that all is about."""

    spool: Spool
    course_from: str = "type"
    verbs: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _file: int = 0

    def read(self, part: Part, file: int) -> Iterator[Outcome | Waiting]:
        """Yields what the statements of a text say. Raises ProgressError for a text that has none."""
        self._file = file
        start = part.head.lstrip("\ufeff \t\r\n\x1e\x00")
        found = name_lines(part.head)
        if not start.startswith(("{", "[")) or "Caliper" in found or "Open edX" in found:
            raise ProgressError(f"{part.name} has no xAPI statements; this is {found}")
        stream = JsonStream(part.text)
        for each in stream:
            if isinstance(each, Broken):
                yield Malformed(each.line, each.reason)
            else:
                yield self.read_statement(each[1], each[0])
        if stream.more:
            self.warnings.append(
                f"{part.name} is one page of several: its `more` says that there are further statements"
            )

    def read_statement(self, value: Any, line: int) -> Outcome | Waiting:
        """Reads a statement, with what an export puts around it."""
        statement, voided = unwrap(value)
        try:
            return self._read(statement, line, voided)
        except Unreadable as error:
            return Malformed(line, str(error))

    def _read(self, statement: Any, line: int, voided: bool) -> Outcome | Waiting:
        verb = statement.get("verb") if isinstance(statement, dict) else None
        verb_id = verb.get("id") if isinstance(verb, dict) else None
        if not isinstance(verb_id, str) or not verb_id:
            raise Unreadable("verb: missing, so this is no xAPI statement")
        kind = decide(verb_id, statement.get("result"), self.verbs)
        if kind is None:
            return Skipped(f"verb {verb_id}")
        if kind == "voided":
            return self._note_void(statement.get("object"), line)
        learner = read_actor(statement.get("actor"))
        if isinstance(learner, Skipped):
            return learner
        thing = statement.get("object")
        if isinstance(thing, dict) and thing.get("objectType", "Activity") != "Activity":
            return Skipped(f"about a {thing['objectType']}, which is no activity")
        activity = read_activity(thing)
        if activity is None:
            raise Unreadable("object: has no id")
        at = read_time(_unwrap_date(statement.get("timestamp") or statement.get("stored")))
        found = find_place(activity, statement.get("context"), self.course_from, self.spool)
        if isinstance(found, (Skipped, Malformed)):
            return found
        return self._build(statement, kind, learner, activity, at, found, line, voided)

    def _build(
        self, statement: Any, kind: Any, learner: Learner, thing: Activity, at: Any, found: Any, line: int, voided: bool
    ) -> Outcome | Waiting:
        waits = isinstance(found, Place)
        course, lesson = ("", thing.id) if waits else found
        id = read_id(statement)
        if voided:
            self.spool.note("void", id.lower(), self._file, line)
        title = read_title(statement["object"]) if lesson == thing.id else None
        if course.startswith(OWN) and lesson.startswith(f"{course}#"):
            lesson = unquote(lesson.removeprefix(f"{course}#"))
        record = Record(kind, learner, course, read_lesson(lesson), at, id, line, lesson_title=title)
        if not waits:
            return record._replace(course_title=self._find_course_title(statement, course))
        return Waiting(record, found.to_json())

    def _note_void(self, target: Any, line: int) -> Skipped:
        id = target.get("id") if isinstance(target, dict) else None
        if not isinstance(id, str):
            raise Unreadable("object: what is voided has no id")
        self.spool.note("void", id.lower(), self._file, line)
        return Skipped("voids another statement")

    @staticmethod
    def _find_course_title(statement: Any, course: str) -> str | None:
        activities = statement.get("context", {}).get("contextActivities", {})
        for name in ("parent", "grouping"):
            found = activities.get(name)
            for each in found if isinstance(found, list) else [found]:
                if isinstance(each, dict) and each.get("id") == course and (title := read_title(each)):
                    return title
        return None


def unwrap(value: Any) -> tuple[Any, bool]:
    """Takes off what an export puts around a statement. Returns it, and whether the export says that it is voided."""
    voided = False
    while isinstance(value, dict) and "verb" not in value:
        inner = next((value[name] for name in WRAPPINGS if isinstance(value.get(name), dict)), None)
        if inner is None:
            break
        voided |= value.get("voided") is True
        value = inner
    return value, voided


def read_actor(actor: Any) -> Learner | Skipped:
    """Reads who did it. Never half of a compound identity. Raises Unreadable."""
    if not isinstance(actor, dict):
        raise Unreadable("actor: missing")
    if actor.get("objectType", "Agent") != "Agent" or "member" in actor:
        return Skipped("actor is a group")
    account = actor.get("account")
    if isinstance(account, dict):
        return read_account(account)
    for name, identify in (("mbox", identify_mailbox), ("mbox_sha1sum", identify_sha1), ("openid", Learner)):
        found = actor.get(name)
        if isinstance(found, str) and found:
            return identify(found)
    raise Unreadable("actor: has no account, mbox, mbox_sha1sum or openid")


def read_account(account: dict[str, Any]) -> Learner:
    """Reads an account: homePage and name together, or a name that is a UUID. Raises Unreadable."""
    name, home_page = account.get("name"), account.get("homePage")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name:
        raise Unreadable("actor.account.name: missing")
    if isinstance(home_page, str) and home_page:
        return Learner(name, home_page)
    if parse_uuid(name) is None:
        raise Unreadable("actor.account.homePage: missing, and the name alone identifies nobody")
    return Learner(name)


def read_id(statement: Mapping[str, Any]) -> str:
    """Returns the statement's id, or one made of the statement, where a store has not added it. Raises Unreadable."""
    id = statement.get("id")
    if id is None:
        said = {name: value for name, value in statement.items() if name not in ("stored", "authority", "version")}
        return make_id(json.dumps(said, sort_keys=True))
    if not isinstance(id, str) or not id or not id.isprintable() or len(id) > 255:
        raise Unreadable("id: no text of 1 to 255 characters")
    return id


def read_title(thing: Any) -> str | None:
    """Returns the name of an activity, in English if there are several."""
    definition = thing.get("definition")
    names = definition.get("name") if isinstance(definition, dict) else None
    if not isinstance(names, dict):
        return None
    english = [name for language, name in names.items() if language.lower().startswith("en")]
    found = next((name for name in (*english, *names.values()) if isinstance(name, str) and name.strip()), None)
    return found.strip()[:LONGEST_TITLE].replace("\x00", "") if found else None


def _unwrap_date(value: Any) -> Any:
    """Takes a time out of MongoDB's form."""
    found = value.get("$date", value) if isinstance(value, dict) else value
    return found.get("$numberLong", found) if isinstance(found, dict) else found
