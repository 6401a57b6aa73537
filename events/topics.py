"""The topics, their keys and who writes them. Names are the default; `worker.settings` can change them."""

LESSON_EVENTS = "lesson-events"  # key: user_id. The course player writes, the worker reads
COURSE_EVENTS = "course-events"  # key: user_id. The worker writes; certificates and badges read
DEAD_LETTERS = "lesson-events.dlq"  # key: as received. What could never be applied, with the reason
