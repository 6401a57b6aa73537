-- All courses of user $1, the latest accessed first; without the completed ones unless $2.
select user_id, course_id, lessons_completed, total_lessons, progress_percentage,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed
             order by l.completed_at, l.lesson_id) as completed_lessons,
       last_lesson_id, last_accessed_at, started_at, completed_at, completion_number
from course_progress cp
where user_id = $1 and ($2 or completed_at is null)
order by last_accessed_at desc, course_id
