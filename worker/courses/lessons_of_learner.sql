-- Reads the lessons that user $1 completed or un-completed, in those of the courses $2 in which the user has progress.
-- Returns a row per lesson, the oldest first, with the total of its course; for a course without lesson rows, one row
-- without a lesson.
select p.course_id, p.total_lessons, l.lesson_id, l.completed_at
from course_progress p
left join lesson_progress l on l.user_id = p.user_id and l.course_id = p.course_id
where p.user_id = $1 and p.course_id = any($2)
order by l.changed_at, l.lesson_id
