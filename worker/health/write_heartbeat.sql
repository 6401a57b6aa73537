-- Upserts the status of worker $2 of consumer group $1 ($3-$15, seen now), and deletes the rows of workers that were
-- last seen more than $16 seconds ago. Returns no row.
with forgotten as (
    delete from worker_status where seen_at < now() - make_interval(secs => $16)
)
insert into worker_status (consumer_group, worker, host, version, started_at, partitions, events_per_s, busy,
                           capacity_per_s, visible_p50_s, visible_p99_s, dead_letters, breaker, waiting_for, disagreeing_totals,
                           knows_versions)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, true)
on conflict (consumer_group, worker) do update set
    host = excluded.host, version = excluded.version, started_at = excluded.started_at, seen_at = now(),
    partitions = excluded.partitions, events_per_s = excluded.events_per_s, busy = excluded.busy,
    capacity_per_s = excluded.capacity_per_s, visible_p50_s = excluded.visible_p50_s,
    visible_p99_s = excluded.visible_p99_s, dead_letters = excluded.dead_letters, breaker = excluded.breaker,
    waiting_for = excluded.waiting_for, disagreeing_totals = excluded.disagreeing_totals, knows_versions = true
