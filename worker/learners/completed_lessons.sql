-- Reads a page of the lessons that user $1 has completed in course $2, in the order in which they were completed.
--
-- $3 and $4 the completed_at and the lesson that the page begins after (null: the first page); $5 the most lessons.
-- Returns a row per lesson; where there is none, one row with a null lesson, because as_of is always returned: the
-- database's clock, and what was committed before it is in the rows.
select now() as as_of, lesson_id, completed_at
from (select) always
left join (
    select lesson_id, completed_at from lesson_progress
    where user_id = $1 and course_id = $2 and completed
        and ($3::timestamptz is null or (completed_at, lesson_id) > ($3, $4::text))
    order by completed_at, lesson_id
    limit $5
) page on true
order by completed_at, lesson_id
