-- Writes what somebody wants of certificate $1: $2, with reason $3; and plans that it is done. $4 topic and $5 partition
-- stand for the record that causes it. Returns a row, or none where there is no such certificate.
--
-- Whoever performs the effect holds its row, and then writes the certificate. So this takes them in that order, too.
with
planned as (
    insert into effect (kind, key, user_id, source_topic, source_partition)
    select 'certificate', user_id::text || '/' || course_id, user_id, $4, $5
    from certificate
    where code = $1
    on conflict (kind, key) do update set due_at = least(effect.due_at, excluded.due_at), attempts = 0
    returning key
)
update certificate
set wish = $2, wish_reason = $3
from planned
where code = $1
returning code
