-- Reads the stored offset of every partition of consumer group $1: all records before it are applied.
-- Returns a row per partition: topic, partition, next_offset, leader_epoch (null: not known).
select topic, partition, next_offset, leader_epoch from consumed_offset where consumer_group = $1
