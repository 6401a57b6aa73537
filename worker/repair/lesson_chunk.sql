-- Reads where a chunk of lesson rows ends that begins after user $1 and course $2 (null: at the first row): at the user
-- and course of its row number $3, or of the last row. Returns one row: user_id, course_id; none if no rows are left.
select user_id, course_id
from (
    select user_id, course_id from lesson_progress
    where $1::uuid is null or (user_id, course_id) > ($1, $2)
    order by user_id, course_id
    limit $3) chunk
order by user_id desc, course_id desc
limit 1
