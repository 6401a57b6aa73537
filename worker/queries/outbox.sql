-- What waits to be published of some partitions ($1 topics, $2 partitions), at most $3 rows, in order.
select seq, id, aggregateid, type, payload, occurred_at
from outbox
where (source_topic, source_partition) in (select * from unnest($1::text[], $2::integer[]))
order by seq
limit $3
