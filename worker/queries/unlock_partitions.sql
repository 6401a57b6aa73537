-- Releases what lock_partitions.sql took.
select pg_advisory_unlock(hashtextextended($1 || '/' || topic || '/' || partition, 0))
from unnest($2::text[], $3::integer[]) as p (topic, partition)
