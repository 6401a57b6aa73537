"""Exports the contract of course progress. Other applications import this package and nothing else.

Read in this order: `models` (the events), `topics` (where they travel), `envelope` (how an event
looks on Kafka), then `publisher` for a course player, or `subscriber` for a certificate service.
`schemas/` and `asyncapi.json` describe the same for other languages; `contract` writes them.
"""

from events.catalog import (
    CATALOG_EVENTS,
    AtLeast,
    CatalogEvent,
    CatalogLesson,
    CourseDeleted,
    CoursePublished,
)
from events.envelope import Envelope, MalformedEvent, UnknownType, binary, data_of, read
from events.learners import LEARNER_EVENTS, LearnerDescribed, LearnerEvent, MailConsent
from events.models import (
    COURSE_EVENTS,
    LESSON_EVENTS,
    BadgeEarned,
    BadgeRevoked,
    CertificateIssued,
    CertificateRevoked,
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressMilestoneReached,
    ProgressReset,
    course_event_id,
    milestone_event_id,
)
from events.producer import PublishFailed
from events.publisher import CourseCatalogPublisher, LearnerPublisher, LessonEventPublisher, Receipt
from events.subscriber import CourseEventSubscriber, Received

__all__ = [
    "CATALOG_EVENTS",
    "COURSE_EVENTS",
    "LEARNER_EVENTS",
    "LESSON_EVENTS",
    "AtLeast",
    "BadgeEarned",
    "BadgeRevoked",
    "CatalogEvent",
    "CatalogLesson",
    "CertificateIssued",
    "CertificateRevoked",
    "CourseAccessed",
    "CourseCatalogPublisher",
    "CourseCompleted",
    "CourseCompletionRevoked",
    "CourseDeleted",
    "CourseEvent",
    "CourseEventSubscriber",
    "CoursePublished",
    "Envelope",
    "LearnerDescribed",
    "LearnerEvent",
    "LearnerPublisher",
    "LessonCompleted",
    "LessonEvent",
    "LessonEventPublisher",
    "LessonUncompleted",
    "LessonWaived",
    "LessonWaiverWithdrawn",
    "MailConsent",
    "MalformedEvent",
    "ProgressMilestoneReached",
    "ProgressReset",
    "PublishFailed",
    "Receipt",
    "Received",
    "UnknownType",
    "binary",
    "course_event_id",
    "data_of",
    "milestone_event_id",
    "read",
]
