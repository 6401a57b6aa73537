"""The contract of course progress: what others import, and all they import.

Read in this order: `models` (what happened), `topics` (where it travels), `envelope` (how it looks
on Kafka), then `publisher` for a course player, or `subscriber` for a certificate service.
`schemas/` and `asyncapi.json` say the same for other languages; `contract` writes them.
"""

from events.envelope import Envelope, MalformedEvent, UnknownType, binary, data_of, read
from events.models import (
    COURSE_EVENTS,
    LESSON_EVENTS,
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    ProgressReset,
    course_event_id,
)
from events.producer import PublishFailed
from events.publisher import LessonEventPublisher, Receipt
from events.subscriber import CourseEventSubscriber, Received

__all__ = [
    "COURSE_EVENTS",
    "LESSON_EVENTS",
    "CourseAccessed",
    "CourseCompleted",
    "CourseCompletionRevoked",
    "CourseEvent",
    "CourseEventSubscriber",
    "Envelope",
    "LessonCompleted",
    "LessonEvent",
    "LessonEventPublisher",
    "LessonUncompleted",
    "MalformedEvent",
    "ProgressReset",
    "PublishFailed",
    "Receipt",
    "Received",
    "UnknownType",
    "binary",
    "course_event_id",
    "data_of",
    "read",
]
