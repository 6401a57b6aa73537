-- Whose lesson rows after ($1, $2), or from the first on if these are null, up to ($3, $4) have no progress row. Only
-- those of course $5; null: all.
select user_id, course_id
from (
    select distinct user_id, course_id from lesson_progress
    where ($1::uuid is null or (user_id, course_id) > ($1, $2)) and (user_id, course_id) <= ($3, $4)
      and ($5::uuid is null or course_id = $5)
) l
where not exists (
    select from course_progress_all p where p.user_id = l.user_id and p.course_id = l.course_id
    offset 0) -- a fence: look each up by index, never join the tables
order by user_id, course_id
