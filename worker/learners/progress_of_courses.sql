-- Reads the progress of user $1 in those of the courses $2 in which the user has any. $3 is the most completed lessons
-- of each, the first completed ones.
--
-- Returns a row per course. Where there is no progress, one row with null ids, because as_of is always returned: the
-- database's clock, and what was committed before it is in the rows.
select now() as as_of, user_id, course_id, lessons_completed, total_lessons, progress_percentage,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed
             order by l.completed_at, l.lesson_id
             limit $3) as completed_lessons,
       last_lesson_id, last_accessed_at, started_at, completed_at, completion_number
from (select) always
-- Not any($2): the planner would look into the array and find a plan for one course cheaper than the generic one. So it
-- would plan at each read, which takes two thirds of the read's CPU (docs/decisions/0024).
left join course_progress cp on cp.user_id = $1 and cp.course_id = any((select $2::uuid[])::uuid[])
