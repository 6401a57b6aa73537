-- Reads the offset from UTC, in minutes, that user $1's latest access was told with. No row: there is no progress.
select utc_offset from course_progress where user_id = $1 order by last_accessed_at desc, course_id limit 1
