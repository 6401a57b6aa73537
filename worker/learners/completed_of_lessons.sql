-- Reads which of some lessons user $1 has completed: the lesson $3[n] of the course $2[n].
-- Returns a row per completed lesson: course_id, lesson_id.
select course_id, lesson_id
from unnest($2::uuid[], $3::text[]) as named (course_id, lesson_id)
where exists (
    select from lesson_progress l
    where l.user_id = $1 and l.course_id = named.course_id and l.lesson_id = named.lesson_id and l.completed)
