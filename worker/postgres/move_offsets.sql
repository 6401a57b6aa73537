-- Moves the stored offsets of consumer group $1, all of them or none: a compare-and-swap in the caller's transaction.
--
-- Reads and writes consumed_offset. $2-$6 per partition: topic, partition, the stored offset that the caller last saw
-- (null: none), the next offset, the leader epoch (null: not known; the stored one stays, an older one does no harm).
--
-- Correct under READ COMMITTED too, because `for update` waits for a transaction that moves the same offsets, and then
-- reads what it has written. Under REPEATABLE READ it raises 40001. Where no offset was stored, one that another
-- transaction inserts meanwhile raises 23505. The caller repeats its transaction then.
--
-- Returns topic, partition and found of each partition whose stored offset is another. No row: all were moved.
with
wanted as materialized (
    select * from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[])
                      as w (topic, partition, expected, next, leader_epoch)
),
stored as materialized (
    select topic, partition, next_offset
    from consumed_offset
    where consumer_group = $1 and (topic, partition) in (select topic, partition from wanted)
    order by topic, partition -- callers lock in one order, so that they do not deadlock
    for update
),
offsets as materialized (
    select w.*, s.next_offset as found
    from wanted w
    left join stored s using (topic, partition)
),
swap as materialized (
    select coalesce(bool_and(found is not distinct from expected), true) as won from offsets
),
offsets_moved as (
    update consumed_offset c
    set next_offset = o.next, leader_epoch = coalesce(o.leader_epoch, c.leader_epoch), moved_at = now()
    from offsets o
    cross join swap
    where won and found is not null
      and c.consumer_group = $1 and c.topic = o.topic and c.partition = o.partition
),
offsets_inserted as (
    insert into consumed_offset (consumer_group, topic, partition, next_offset, leader_epoch)
    select $1, topic, partition, next, leader_epoch
    from offsets
    cross join swap
    where won and found is null
)
select topic, partition, found
from offsets
where found is distinct from expected
order by topic, partition
