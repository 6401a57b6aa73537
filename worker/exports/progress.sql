-- Reads progress rows, all or those of user $1, of course $2, in the order of users and courses. Returns them as the
-- view has them.
select user_id as "user", course_id as course, lessons_completed, total_lessons, progress_percentage, started_at,
       last_accessed_at, completed_at, completion_number, course_version, lessons_waived
from course_progress
where ($1::uuid is null or user_id = $1) and ($2::uuid is null or course_id = $2)
order by user_id, course_id
