-- Reads the id of the topic that the stored offsets of consumer group $1 in topic $2 count in.
-- Returns one row, topic_id; no row where no offset is stored.
select topic_id from known_topic k
where consumer_group = $1 and topic = $2
  and exists (select from consumed_offset c where c.consumer_group = k.consumer_group and c.topic = k.topic)
