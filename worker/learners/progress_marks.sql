-- Reads a mark for each of the users $1 that has progress. The mark changes whenever a row of the user came, went or
-- changed. It is made of contents, not of times, because a transaction that began earlier may commit later.
-- Returns a row per user with progress: user_id, mark.
select user_id, bit_xor(hash_record_extended(row(course_id, updated_at, lessons_completed), 0)) as mark
from course_progress
where user_id = any($1)
group by user_id
