-- Moves the stored offset of consumer group $1 in topic $2, partition $3, from $4 (null: none was stored) to $5.
-- Changes no row if a worker has moved it meanwhile. A worker that works from $4 finds it moved, and goes on at $5.
insert into consumed_offset as c (consumer_group, topic, partition, next_offset) values ($1, $2, $3, $5)
on conflict (consumer_group, topic, partition)
    do update set next_offset = excluded.next_offset, leader_epoch = null, moved_at = now()
    where c.next_offset = $4
