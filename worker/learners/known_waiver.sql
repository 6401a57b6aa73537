-- Reads what is known last of the waiver of lesson $3 for user $1 in course $2, and whether an event at $4 counts there.
-- Returns one row: counts, false where a reset forgets the event; waived_at and withdrawn_at, the last of each.
select coalesce((
           select cp.reset_at is null or cp.reset_at < $4 from course_progress cp
           where cp.user_id = $1 and cp.course_id = $2), false) as counts,
       w.waived_at[cardinality(w.waived_at)] as waived_at, w.withdrawn_at
from (select) always
left join lesson_waiver w on w.user_id = $1 and w.course_id = $2 and w.lesson_id = $3
