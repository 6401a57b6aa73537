-- Reads which course events of some partitions ($1 topics, $2 partitions) wait to be published: of each partition the
-- first $3 rows. A row waits for an older row of the same learner that another worker publishes, or a later round: the
-- events of one learner leave in the order of their transitions. Returns the rows in the order of seq.
with candidates as materialized (
    select o.*
    from unnest($1::text[], $2::integer[]) as p (topic, partition)
    cross join lateral (
        select seq, id, aggregateid, type, payload, occurred_at, source_topic, source_partition
        from outbox
        where source_topic = p.topic and source_partition = p.partition
        order by seq
        limit $3
    ) o
)
select *
from candidates c
where not exists (
    select from outbox e
    where e.aggregateid = c.aggregateid and e.seq < c.seq and e.seq not in (select seq from candidates))
order by seq
