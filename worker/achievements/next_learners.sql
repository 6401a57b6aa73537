-- Reads the next $2 learners after user $1 (null: from the first) of whom anything is known that badges ask for, in order.
select user_id
from (
    (select distinct user_id from announced_completion where $1::uuid is null or user_id > $1 order by user_id limit $2)
    union
    (select distinct user_id from active_day where $1::uuid is null or user_id > $1 order by user_id limit $2)
    union
    (select distinct user_id from active_instant where $1::uuid is null or user_id > $1 order by user_id limit $2)
    union
    (select distinct user_id from studied_lesson where $1::uuid is null or user_id > $1 order by user_id limit $2)
) known
order by user_id
limit $2
