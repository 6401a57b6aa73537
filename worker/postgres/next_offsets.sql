-- Reads the stored offset of every partition of consumer group $1: all records before it are applied.
-- Returns a row per partition: topic, partition, next_offset.
select topic, partition, next_offset from consumed_offset where consumer_group = $1
