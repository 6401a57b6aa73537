-- Reads whether consumer group $1 has applied the record at offset $4 of topic $2, partition $3.
-- Returns one row: passed.
select coalesce((
    select next_offset > $4 from consumed_offset
    where consumer_group = $1 and topic = $2 and partition = $3), false) as passed
