-- Reads whether consumer group $1 has applied each partition ($4) of topic $2 up to its offset ($5), has recounted what
-- versions of courses changed, and has published the course events that followed. $3 is the topic's id by Kafka (null: not known): stored offsets of another topic of
-- that name do not count. Returns one row with one boolean.
select
    not exists (
        select from unnest($4::integer[], $5::bigint[]) as w (partition, until)
        left join consumed_offset c on c.consumer_group = $1 and c.topic = $2 and c.partition = w.partition
        where coalesce(c.next_offset, 0) < w.until)
    and not exists (
        select from outbox where source_topic = $2 and source_partition = any ($4::integer[]))
    and not exists (
        select from known_topic where consumer_group = $1 and topic = $2 and topic_id <> $3::uuid)
    and not exists (select from course_recount where finished_at is null)
