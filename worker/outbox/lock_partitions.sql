-- Locks partitions ($1 topics, $2 partitions) for the relay until this session ends. Returns those that it got.
select topic, partition
from unnest($1::text[], $2::integer[]) as p (topic, partition)
where pg_try_advisory_lock(hashtextextended(topic || '/' || partition, 0))
