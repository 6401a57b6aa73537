-- Releases what lock_partitions.sql took.
select pg_advisory_unlock(hashtextextended(topic || '/' || partition, 0))
from unnest($1::text[], $2::integer[]) as p (topic, partition)
