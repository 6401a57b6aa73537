-- Releases the locks of lock_partitions.sql on partitions ($1 topics, $2 partitions).
select pg_advisory_unlock(hashtextextended(topic || '/' || partition, 0))
from unnest($1::text[], $2::integer[]) as p (topic, partition)
