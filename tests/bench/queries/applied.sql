-- How many events a contender has applied, how many seconds ago it began, and how much WAL there is.
select coalesce(sum(next_offset), 0)::bigint as events,
       extract(epoch from clock_timestamp() - (select min(at) from bench_began))::float as seconds,
       ((pg_current_wal_insert_lsn() - '0/0') / 1000)::float as wal_kb
from (select next_offset from consumed_offset union all select next_offset from bench_progress) o
