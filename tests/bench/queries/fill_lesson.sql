-- Lesson $1, completed, of each progress row with $2 < id: lesson by lesson, as they come in time, not row by row.
insert into lesson_progress (user_id, course_id, lesson_id, completed, changed_at, completed_at)
select user_id, course_id, 'lesson-' || lpad($1::integer::text, 29, '0'), true, at, at
from course_progress_all
cross join (select '2026-01-01'::timestamptz + $1::integer * interval '1 hour' as at) t
where id > $2
order by id
