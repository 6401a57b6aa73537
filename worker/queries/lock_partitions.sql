-- Locks partitions for the relay of consumer group $1 until this session ends; returns those it got.
select topic, partition
from unnest($2::text[], $3::integer[]) as p (topic, partition)
where pg_try_advisory_lock(hashtextextended($1 || '/' || topic || '/' || partition, 0))
