"""Defines the events as data: one frozen model per event type.

Unknown fields are ignored, so a producer may send more than this version knows. A change that
breaks a reader (a renamed field, a narrower range) is a new major version in the envelope's
`dataschema`.
"""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.json_types import NO_LINE_BREAK, Day, Id, Instant, Whole

# An earlier time comes from a broken clock.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# An event further ahead of its record is dated by the record instead (docs/rules.md).
AHEAD_S = 300
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def normalize_lesson_id(text: str) -> str:
    """Returns the lesson id in Unicode's form NFC, as people read it: é is one letter, or e and an accent."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# PostgreSQL's text takes every character except NUL. pydantic refuses a lone surrogate, which is not a character.
# The length is the one that was sent: NFC may be longer.
LessonId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00]*$",
        description="Which lesson of the course. Ids that are the same in Unicode's form NFC are one lesson",
    ),
    AfterValidator(normalize_lesson_id),
]
TotalLessons = Annotated[
    int,
    Field(strict=True, ge=1, le=10_000),
    Whole,
    Field(description="Lessons the course has, at the time of the event"),
]
LessonsCompleted = Annotated[
    int,
    Field(strict=True, ge=0),
    Whole,
    Field(description="Lessons the learner has completed; under a version, the lessons met"),
]
CompletionNumber = Annotated[
    int,
    Field(strict=True, ge=1),
    Whole,
    Field(
        description="Grows with each completion of this course by the learner: 1, 2, 3; after a recovery it may skip"
    ),
]
CourseVersionInForce = Annotated[
    int,
    Field(strict=True, ge=0),
    Whole,
    Field(description="The version of the course that decided; 0: its owner has published none"),
]
Issue = Annotated[int, Field(strict=True, ge=1), Whole]
CAUSE_PATTERN = "[a-z][a-z-]{0,31}"
Cause = Annotated[
    str,
    Field(
        pattern=f"^{CAUSE_PATTERN}$",
        json_schema_extra=NO_LINE_BREAK,
        description="learner: the learner's events. course-changed: a version of the course. reset. waived: a waiver, "
        "or its withdrawal. imported: events that say so. repaired: verify --fix. recovered: the state is published "
        "once more, because the database had lost what was published. Readers take other values for learner",
    ),
]
LEARNER = "learner"
CertificateCode = Annotated[
    str,
    Field(
        pattern=r"^[a-z2-7]{26}$",
        description="128 random bits in base32, the end of the certificate's link",
        json_schema_extra=NO_LINE_BREAK,
    ),
]
BADGE_PATTERN = "^[a-z0-9][a-z0-9-]{0,63}$"
BadgeId = Annotated[str, Field(pattern=BADGE_PATTERN, json_schema_extra=NO_LINE_BREAK)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class ContractEvent(BaseModel):
    """Has what the models of all events have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(ContractEvent):
    """Names the learner and the course, as every event does but those of the catalog."""

    user_id: Id
    course_id: Id


class LessonCompleted(Event):
    """The learner completed the lesson."""

    lesson_id: LessonId
    total_lessons: TotalLessons | None = None


class LessonUncompleted(Event):
    """The learner, or an editor, took the completion of the lesson back."""

    lesson_id: LessonId
    total_lessons: TotalLessons | None = None


class CourseAccessed(Event):
    """The learner opened the course, at this lesson if one is named."""

    lesson_id: LessonId | None = None
    total_lessons: TotalLessons | None = None


class LessonWaived(Event):
    """Somebody in charge lets the lesson count as met, though the learner need not complete it (as cmi5's Waived)."""

    lesson_id: LessonId
    reason: Reason


class LessonWaiverWithdrawn(Event):
    """Somebody in charge takes the waiver of the lesson back."""

    lesson_id: LessonId
    reason: Reason | None = None


class ProgressReset(Event):
    """The learner starts the course over: nothing up to this event's time counts any more."""


class CourseCompleted(Event):
    """The learner has completed the course. Published at least once, always under the same event id.

    `started_at` is not after `completed_at`.
    """

    completed_at: Instant
    completion_number: CompletionNumber
    lessons_completed: LessonsCompleted
    total_lessons: TotalLessons
    started_at: Instant
    course_version: CourseVersionInForce = 0
    title: str | None = Field(None, description="The title of the course in that version")
    cause: Cause = LEARNER


class CourseCompletionRevoked(Event):
    """The course is not complete: takes back the CourseCompleted of the same number, and of every lower one."""

    revoked_at: Instant
    completion_number: CompletionNumber
    lessons_completed: LessonsCompleted
    total_lessons: TotalLessons | None
    course_version: CourseVersionInForce = 0
    title: str | None = Field(None, description="The title of the course in that version")
    cause: Cause = LEARNER


class ProgressMilestoneReached(Event):
    """The learner has done 25, 50 or 75 % of the course, for the first time since its last reset.

    Published at least once, always under the same event id. One batch may reach several; 100 % is CourseCompleted.
    """

    milestone: Annotated[int, Field(strict=True, ge=1, le=99), Whole, Field(description="In percent: 25, 50 or 75")]
    run: Annotated[Instant | None, Field(description="The reset that the course was begun with; null: none")] = None
    reached_at: Annotated[Instant, Field(description="The time of the learner's latest event in the course")]
    lessons_completed: LessonsCompleted
    total_lessons: TotalLessons
    course_version: CourseVersionInForce = 0
    title: str | None = Field(None, description="The title of the course in that version")
    cause: Cause = LEARNER


class CertificateEvent(Event):
    """Names a certificate: of a learner, for one version of a course."""

    code: CertificateCode
    course_version: CourseVersionInForce
    completion_number: CompletionNumber


class CertificateIssued(CertificateEvent):
    """The learner has a certificate. It comes again with a higher `issue` when the same certificate is issued anew."""

    issue: Annotated[Issue, Field(description="Grows with each credential of this certificate")]
    issued_at: Instant


class CertificateRevoked(CertificateEvent):
    """The certificate is not valid any more, up to and with this `issue`."""

    issue: Annotated[Issue, Field(description="The last issue that it revokes")]
    revoked_at: Instant
    status: Annotated[str, Field(description="revoked; withdrawn: a waiver that it stands on was taken back")]
    cause: Cause = LEARNER


class BadgeEvent(ContractEvent):
    """Names a badge, and which award of it: that of a course may be revoked, and earned again under another number."""

    user_id: Id
    badge: BadgeId
    number: Annotated[int, Field(strict=True, ge=1), Whole, Field(description="Which award of it; nearly always 1")] = 1
    title: Annotated[str, Field(min_length=1, max_length=200)]
    course_id: Annotated[Id | None, Field(description="Of a badge for one course")] = None
    cause: Cause = LEARNER


class BadgeEarned(BadgeEvent):
    """The learner has earned a badge. `cause` is rule-changed where it was earned before the badge was declared so."""

    earned_on: Annotated[Day, Field(description="The day that made it up, on the learner's calendar")]
    awarded_at: Instant


class BadgeRevoked(BadgeEvent):
    """The learner has the badge no more, because its course is not complete any more."""

    revoked_at: Instant


LessonEvent = (
    LessonCompleted | LessonUncompleted | CourseAccessed | ProgressReset | LessonWaived | LessonWaiverWithdrawn
)
CourseEvent = (
    CourseCompleted
    | CourseCompletionRevoked
    | ProgressMilestoneReached
    | CertificateIssued
    | CertificateRevoked
    | BadgeEarned
    | BadgeRevoked
)

# The events of each topic, by the type's name in the envelope.
LESSON_EVENTS: Mapping[str, type[LessonEvent]] = {
    "LessonCompleted": LessonCompleted,
    "LessonUncompleted": LessonUncompleted,
    "CourseAccessed": CourseAccessed,
    "ProgressReset": ProgressReset,
    "LessonWaived": LessonWaived,
    "LessonWaiverWithdrawn": LessonWaiverWithdrawn,
}
COURSE_EVENTS: Mapping[str, type[CourseEvent]] = {
    "CourseCompleted": CourseCompleted,
    "CourseCompletionRevoked": CourseCompletionRevoked,
    "ProgressMilestoneReached": ProgressMilestoneReached,
    "CertificateIssued": CertificateIssued,
    "CertificateRevoked": CertificateRevoked,
    "BadgeEarned": BadgeEarned,
    "BadgeRevoked": BadgeRevoked,
}


def course_event_id(type: str, user_id: UUID, course_id: UUID, completion_number: int, at: datetime) -> UUID:
    """Computes the id of a course event, the same for every publication: a UUIDv8. The SQL computes it too.

    `at` is the event's time: when the course was completed, or its completion revoked.
    """
    return uuid_v8(f"{type}/{user_id}/{course_id}/{completion_number}/{(at - EPOCH) // MICROSECOND}")


def milestone_event_id(user_id: UUID, course_id: UUID, milestone: int, run: datetime | None) -> UUID:
    """Computes the id of a ProgressMilestoneReached, the same for every publication. The SQL computes it too."""
    began = "start" if run is None else (run - EPOCH) // MICROSECOND
    return uuid_v8(f"ProgressMilestoneReached/{user_id}/{course_id}/{milestone}/{began}")


def badge_event_id(event: "BadgeEarned | BadgeRevoked") -> UUID:
    """Computes the id of an event about a badge, the same for every publication."""
    return uuid_v8(f"{type(event).__name__}/{event.user_id}/{event.badge}/{event.number}")


def uuid_v8(name: str) -> UUID:
    """Computes the UUIDv8 (RFC 9562) of a name: the first 16 bytes of its SHA-256, with version and variant."""
    digest = bytearray(sha256(name.encode()).digest()[:16])
    digest[6] = digest[6] & 15 | 128
    digest[8] = digest[8] & 63 | 128
    return UUID(bytes=bytes(digest))
