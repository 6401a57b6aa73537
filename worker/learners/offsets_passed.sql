-- Reads whether consumer group $1 has applied everything in topic $2 before the offset $4[n] of partition $3[n].
-- $5 is the topic's id by Kafka (null: not known), as in offset_passed.sql. Returns one row: passed.
select not exists (
        select from unnest($3::integer[], $4::bigint[]) as log (partition, until)
        left join consumed_offset c on c.consumer_group = $1 and c.topic = $2 and c.partition = log.partition
        where coalesce(c.next_offset, 0) < log.until)
    and not exists (
        select from known_topic where consumer_group = $1 and topic = $2 and topic_id <> $5::uuid) as passed
