-- Locks partitions whose rows have waited in the outbox for over $1 seconds and that no worker has locked: any that no
-- worker owns now, and those of a topic that was renamed, or created again with fewer partitions. Rows of the topic $4
-- need not wait, because no worker ever owns a partition of it. Until this session ends, as lock_partitions.sql does;
-- those that this session has locked ($2 topics, $3 partitions) are left out.
-- Returns those that it got: topic, partition.
with recursive sources as (
    (select source_topic, source_partition, created_at from outbox order by source_topic, source_partition, seq limit 1)
    union all
    select o.*
    from sources s
    cross join lateral (
        select source_topic, source_partition, created_at from outbox
        where (source_topic, source_partition) > (s.source_topic, s.source_partition)
        order by source_topic, source_partition, seq
        limit 1
    ) o
),
waiting as materialized (
    select source_topic as topic, source_partition as partition from sources
    where (created_at < now() - make_interval(secs => $1) or source_topic = $4)
      -- A session gets a lock that it has a second time, and would have to release it twice.
      and (source_topic, source_partition) not in (select * from unnest($2::text[], $3::integer[]))
)
select topic, partition
from waiting
where pg_try_advisory_lock(hashtextextended(topic || '/' || partition, 0))
