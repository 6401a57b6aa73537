-- Reads the users and courses that have lesson rows and no progress row, after user $1 and course $2 (null: from the
-- first) up to user $3 and course $4. Of course $5 only; null: of all. Returns a row for each: user_id, course_id.
select user_id, course_id
from (
    select distinct user_id, course_id from lesson_progress
    where ($1::uuid is null or (user_id, course_id) > ($1, $2)) and (user_id, course_id) <= ($3, $4)
      and ($5::uuid is null or course_id = $5)
) l
where not exists (
    select from course_progress_all p where p.user_id = l.user_id and p.course_id = l.course_id
    offset 0) -- a fence: each is looked up by index, the tables are never joined
order by user_id, course_id
