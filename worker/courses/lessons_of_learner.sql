-- Reads the lessons that user $1 completed or un-completed, in those of the courses $2 in which the user has progress:
-- at most $3 of each course, which of them the primary key decides.
-- Returns a row per lesson, the oldest first, with the total of its course; for a course without lesson rows, one row
-- without a lesson.
select p.course_id, p.total_lessons, l.lesson_id, l.completed_at
from course_progress p
left join lateral (
    select lesson_id, completed_at, changed_at from lesson_progress
    where user_id = p.user_id and course_id = p.course_id
    limit $3
) l on true
where p.user_id = $1 and p.course_id = any($2)
order by l.changed_at, l.lesson_id
