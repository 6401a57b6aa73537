-- Deletes the stored offsets of consumer group $1 in topic $2 of partitions that are gone: it has $3. If the topic gets
-- as many again, their records must not count as applied. Returns no row.
delete from consumed_offset where consumer_group = $1 and topic = $2 and partition <> all($3::integer[])
