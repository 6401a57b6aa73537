-- Reads every visible progress row, in the form in which worker/progress/reference.py states it.
select user_id, course_id, lessons_completed, total_lessons, progress_percentage, completed_at is not null as complete,
       last_lesson_id, last_accessed_at,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed) as completed_lessons
from course_progress cp
