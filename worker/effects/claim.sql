-- Claims one effect that is due, of the kinds $1, until the transaction ends; others skip it meanwhile.
-- Returns kind, key, source_topic, source_partition, attempts.
select kind, key, source_topic, source_partition, attempts
from effect
where due_at <= now() and kind = any($1)
order by due_at
limit 1
for update skip locked
