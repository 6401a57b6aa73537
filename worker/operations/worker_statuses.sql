-- Reads the status that each worker of consumer group $1 wrote last. Returns a row per worker, with silent_s: the
-- seconds since. Each of its disagreeing_totals has the title of the course's newest version, too (null: it has none).
select worker, host, version, started_at, partitions, events_per_s, busy, capacity_per_s, visible_p50_s, visible_p99_s,
       dead_letters, breaker, waiting_for,
       (select coalesce(jsonb_agg(found || jsonb_build_object('title', (
            select title from course_version
            where course_id = (found ->> 'course_id')::uuid
            order by version desc
            limit 1)) order by place), '[]')
        from jsonb_array_elements(disagreeing_totals) with ordinality as listed (found, place)) as disagreeing_totals,
       greatest(0, extract(epoch from now() - seen_at))::float8 as silent_s
from worker_status
where consumer_group = $1
order by worker
