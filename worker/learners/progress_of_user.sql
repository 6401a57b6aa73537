-- Reads a page of user $1's courses, the latest accessed first.
--
-- $2 whether completed courses are among them, $6 whether the others are; $3 and $4 the last_accessed_at and the course
-- that the page begins after (null: the first page); $5 the most courses.
-- Returns a row per course. Where there is no progress, one row with null ids, because as_of is always returned: the
-- database's clock, and what was committed before it is in the rows.
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
