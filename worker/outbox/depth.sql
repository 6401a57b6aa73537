-- Counts the rows that wait in the outbox, and how long the oldest has waited: of some partitions ($1 topics, $2
-- partitions) and of all. Cheap however many wait, because counts end at $3 per partition and the oldest row is the
-- first by seq. Returns two rows: whose ('mine' or 'all'), rows, oldest_s.
with
mine as (
    select o.*
    from unnest($1::text[], $2::integer[]) as p (topic, partition)
    cross join lateral (
        select (select count(*) from (
                    select from outbox
                    where source_topic = p.topic and source_partition = p.partition limit $3)) as rows,
               (select created_at from outbox
                where source_topic = p.topic and source_partition = p.partition order by seq limit 1) as oldest
    ) o
),
of_all as (
    select (select count(*) from (select from outbox limit $3)) as rows,
           (select created_at from outbox order by seq limit 1) as oldest
)
select 'mine' as whose, coalesce(sum(rows), 0)::bigint as rows,
       coalesce(extract(epoch from now() - min(oldest)), 0)::float as oldest_s
from mine
union all
select 'all', rows, coalesce(extract(epoch from now() - oldest), 0)::float
from of_all
