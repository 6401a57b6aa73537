"""Names the topics by default; `worker.settings` can change the names."""

LESSON_EVENTS = "lesson-events"  # key: user_id. The course player writes, the worker reads
COURSE_EVENTS = "course-events"  # key: user_id. The worker writes; certificates and badges read
COURSE_CATALOG = "course-catalog"  # key: course_id. The courses' owner writes, the worker reads; kept for ever
LEARNERS = "learners"  # key: user_id, compacted. Who knows the learners writes; certificates and mail read
DEAD_LETTERS = "lesson-events.dlq"  # key: as received. Records that can never be applied, with the reason
