-- Reads the stored offsets of consumer group $1 in topic $2, and the id of the topic that they count in (null: not
-- known). Returns a row per partition: partition, next_offset, topic_id.
select c.partition, c.next_offset, k.topic_id
from consumed_offset c
left join known_topic k on k.consumer_group = c.consumer_group and k.topic = c.topic
where c.consumer_group = $1 and c.topic = $2
