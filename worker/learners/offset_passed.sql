-- Whether consumer group $1 has applied the record of topic $2, partition $3, at offset $4.
select coalesce((
    select next_offset > $4 from consumed_offset
    where consumer_group = $1 and topic = $2 and partition = $3), false) as passed
