-- Up to where each partition is in the rows, for one consumer group ($1).
select topic, partition, next_offset from consumed_offset where consumer_group = $1
