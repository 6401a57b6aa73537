-- Reads whether consumer group $1 has applied the record at offset $4 of topic $2, partition $3.
-- $5 is the id of the topic that the record is in (null: not known). The stored offsets of a topic that was created
-- again count in the deleted one until they are rewound, so nothing of the new one is applied.
-- Returns one row: passed.
select coalesce((
    select next_offset > $4 from consumed_offset
    where consumer_group = $1 and topic = $2 and partition = $3), false)
    and not exists (
        select from known_topic where consumer_group = $1 and topic = $2 and topic_id <> $5::uuid) as passed
