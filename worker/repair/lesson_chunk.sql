-- Where a chunk of lesson rows ends that begins after ($1, $2), or at the first if these are null: at the user and course
-- of the $3rd row, or of the last. No row: there are none.
select user_id, course_id
from (
    select user_id, course_id from lesson_progress
    where $1::uuid is null or (user_id, course_id) > ($1, $2)
    order by user_id, course_id
    limit $3) chunk
order by user_id desc, course_id desc
limit 1
