-- Upserts that the stored offsets of consumer group $1 in topic $2 count in the topic with id $3.
insert into known_topic (consumer_group, topic, topic_id) values ($1, $2, $3)
on conflict (consumer_group, topic) do update set topic_id = excluded.topic_id
