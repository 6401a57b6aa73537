-- Plans effects of kind $1: $2 keys, each once, $3 users (null: nobody's), $4 topics and $5 partitions of the records
-- that cause them, $6 when they are due (null: now). Of one that is planned already the earlier time holds, and its attempts begin
-- anew. Returns how many rows it wrote.
with
written as (
    insert into effect (kind, key, user_id, source_topic, source_partition, due_at)
    select $1, key, user_id, source_topic, source_partition, coalesce(due_at, now())
    from unnest($2::text[], $3::uuid[], $4::text[], $5::integer[], $6::timestamptz[])
             as e (key, user_id, source_topic, source_partition, due_at)
    order by key -- callers lock in one order, so that they do not deadlock
    on conflict (kind, key) do update
    set due_at = least(effect.due_at, excluded.due_at), attempts = 0,
        source_topic = excluded.source_topic, source_partition = excluded.source_partition
    returning 1
)
select count(*)::integer from written
