-- What each worker says of itself, for the Operations page: an API process cannot look into a worker.

-- migrate:up

-- Every worker writes its row every two seconds, whether or not it has work; a clean stop deletes it. No rule uses it.
-- Without an index but the key, and with room in its pages, every update stays HOT.
create table worker_status (
    consumer_group text not null,
    worker text not null,             -- its name, also Kafka's client id of the group's member
    host text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default now(),
    partitions integer[] not null,    -- of lesson-events, which it reads now
    events_per_s real not null,       -- settled in the last seconds
    busy real not null,               -- the share of these seconds that it worked: 0 to 1
    capacity_per_s real,              -- events per second of work in large batches; null: it has had none yet
    visible_p50_s real,               -- from a record's timestamp to its commit, in the last minute; null: no events
    visible_p99_s real,
    dead_letters bigint not null,     -- since it started
    breaker text,                     -- why its breaker is open
    waiting_for text,                 -- why nothing moves at present
    primary key (consumer_group, worker)
) with (fillfactor = 50);
alter table worker_status owner to course_progress_owner;
grant select, insert, update, delete on worker_status to course_progress_worker;
grant select on worker_status to course_progress_reader;

-- How much waits to be published, and for how long; not of whom, nor what.
grant select (seq, source_topic, source_partition, created_at) on outbox to course_progress_reader;
-- migrate:down
