-- progress_of_courses
-- Courses $2 of user $1, those that have progress, and the database's clock: what was committed before it is here.
-- Always at least one row; where there is no progress, its ids are null.
select now() as as_of, user_id, course_id, lessons_completed, total_lessons, progress_percentage,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed
             order by l.completed_at, l.lesson_id) as completed_lessons,
       last_lesson_id, last_accessed_at, started_at, completed_at, completion_number
from (select) always
-- Not any($2): the planner would look into the array, take one course for less than courses of any number, and so plan
-- at each read anew, for two thirds of its CPU (docs/decisions/0024).
left join course_progress cp on cp.user_id = $1 and cp.course_id = any((select $2::uuid[])::uuid[])
