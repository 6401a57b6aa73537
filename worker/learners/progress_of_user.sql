-- progress_of_user
-- Courses of user $1, the latest accessed first; without the completed ones unless $2, without the others unless $6;
-- those that come after time $3 and course $4, if these are given; at most $5. And the database's clock: what was
-- committed before it is here.
-- Always at least one row; where there is no progress, its ids are null.
select now() as as_of, user_id, course_id, lessons_completed, total_lessons, progress_percentage,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed
             order by l.completed_at, l.lesson_id) as completed_lessons,
       last_lesson_id, last_accessed_at, started_at, completed_at, completion_number
from (select) always
left join course_progress cp
    on cp.user_id = $1 and ($2 or cp.completed_at is null) and ($6 or cp.completed_at is not null)
    and ($3::timestamptz is null or cp.last_accessed_at < $3 or (cp.last_accessed_at = $3 and cp.course_id > $4::uuid))
order by last_accessed_at desc, course_id
limit $5
