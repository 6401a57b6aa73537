-- Reads what is known last of user $1 in the courses $2[n], and of their lessons $3[n] (null: the course alone).
--
-- Returns a row per course and lesson: course_id, lesson_id; reset_at and last_accessed_at of the progress
-- row (last_accessed_at null: there is none, or a reset hides it); completed, completed_at and changed_at of the lesson
-- row (changed_at null: there is none).
select course_id, lesson_id, p.reset_at, p.last_accessed_at, l.completed, l.completed_at, l.changed_at
from (select distinct course_id, lesson_id from unnest($2::uuid[], $3::text[]) as sent (course_id, lesson_id)) named
left join lateral (
    select reset_at, last_accessed_at from course_progress cp
    where cp.user_id = $1 and cp.course_id = named.course_id
) p on true
left join lateral (
    select completed, completed_at, changed_at from lesson_progress b
    where b.user_id = $1 and b.course_id = named.course_id and b.lesson_id = named.lesson_id
) l on true
