-- Reads whether consumer group $1 has applied each partition ($2 topics, $3 partitions) up to its offset ($4) and has
-- published the course events that followed. Returns one row with one boolean.
select
    not exists (
        select from unnest($2::text[], $3::integer[], $4::bigint[]) as w (topic, partition, until)
        left join consumed_offset c
            on c.consumer_group = $1 and c.topic = w.topic and c.partition = w.partition
        where coalesce(c.next_offset, 0) < w.until)
    and not exists (
        select from outbox where (source_topic, source_partition) in (select * from unnest($2::text[], $3::integer[])))
