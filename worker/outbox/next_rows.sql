-- Reads which course events of some partitions ($1 topics, $2 partitions) wait to be published: of each partition the
-- first $3 rows. Returns them in the order of seq.
select o.*
from unnest($1::text[], $2::integer[]) as p (topic, partition)
cross join lateral (
    select seq, id, aggregateid, type, payload, occurred_at, source_topic, source_partition
    from outbox
    where source_topic = p.topic and source_partition = p.partition
    order by seq
    limit $3
) o
order by o.seq
