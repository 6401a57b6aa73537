-- Reads the status that each worker of consumer group $1 wrote last. Returns a row per worker, with silent_s: the
-- seconds since.
select worker, host, version, started_at, partitions, events_per_s, busy, capacity_per_s, visible_p50_s, visible_p99_s,
       dead_letters, breaker, waiting_for, greatest(0, extract(epoch from now() - seen_at))::float8 as silent_s
from worker_status
where consumer_group = $1
order by worker
