-- The tables of course progress. PostgreSQL 18 or newer: MERGE ... RETURNING old/new, virtual generated columns.
-- Rule numbers are those of docs/rules.md.

-- migrate:up

-- UUIDv5 (RFC 9562) of `name` in `namespace`, the same as Python's uuid.uuid5. The core server has no SHA-1, and
-- neither uuid-ossp nor pgcrypto is in every build. Called once per completion (about 0.13 ms), never per event.
create function uuid_v5(namespace uuid, name text) returns uuid
language plpgsql immutable strict parallel safe as $$
declare
    mask constant bigint := x'ffffffff'::bigint;
    message bytea := uuid_send(namespace) || convert_to(name, 'UTF8');
    bits constant bigint := length(message) * 8;
    w bigint[];
    h0 bigint := x'67452301'::bigint;
    h1 bigint := x'efcdab89'::bigint;
    h2 bigint := x'98badcfe'::bigint;
    h3 bigint := x'10325476'::bigint;
    h4 bigint := x'c3d2e1f0'::bigint;
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
begin
    message := message || '\x80'::bytea
        || decode(repeat('00', (119 - length(message) % 64) % 64), 'hex') || int8send(bits);
    for block in 0 .. length(message) / 64 - 1 loop
        w := array(
            select ('x' || encode(substr(message, block * 64 + i * 4 + 1, 4), 'hex'))::bit(32)::bigint
            from generate_series(0, 15) as i order by i);
        for i in 17 .. 80 loop
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & mask;
        end loop;
        a := h0; b := h1; c := h2; d := h3; e := h4;
        for i in 1 .. 80 loop
            if i <= 20 then f := (b & c) | (~b & d & mask); k := x'5a827999'::bigint;
            elsif i <= 40 then f := b # c # d; k := x'6ed9eba1'::bigint;
            elsif i <= 60 then f := (b & c) | (b & d) | (c & d); k := x'8f1bbcdc'::bigint;
            else f := b # c # d; k := x'ca62c1d6'::bigint;
            end if;
            t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        end loop;
        h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask;
        h3 := (h3 + d) & mask; h4 := (h4 + e) & mask;
    end loop;
    -- Version 5 and the RFC's variant replace six bits of the digest's first sixteen bytes.
    h1 := (h1 & x'ffff0fff'::bigint) | x'5000'::bigint;
    h2 := (h2 & x'3fffffff'::bigint) | x'80000000'::bigint;
    return encode(int8send((h0 << 32) | h1) || int8send((h2 << 32) | h3), 'hex')::uuid;
end $$;

-- The id under which a completion is published, always the same one: events.course_event_id in SQL.
create function course_event_id(type text, user_id uuid, course_id uuid, completion_number integer) returns uuid
language sql immutable strict parallel safe
return uuid_v5('5b0c4b0e-6f0e-5b52-9d3c-0d6c1f6f0a55',
               type || '/' || user_id || '/' || course_id || '/' || completion_number);

-- One row: the latest known state of one lesson for one user (rule 1). A row's cost does not grow with the course.
create table lesson_progress (
    user_id uuid not null,
    course_id uuid not null,
    changed_at timestamptz not null,  -- occurred_at of the event that decided `completed`
    completed_at timestamptz,         -- the first completion since the last un-completion; null while not completed
    uncompleted_at timestamptz,       -- the last un-completion: a completion from before it is interrupted
    completed boolean not null,
    -- "C": byte order, as Python sorts, and the cheapest to compare.
    lesson_id text collate "C" not null,
    primary key (user_id, course_id, lesson_id),
    constraint completed_has_its_time check (completed = (completed_at is not null))
);

-- One row: one user in one course, also when it was reset and nothing came since (rule 6). Readers use the view below.
-- Indexed columns never change and pages keep room, so that every update stays HOT.
create table course_progress_all (
    id bigint generated always as identity primary key,
    user_id uuid not null,
    course_id uuid not null,
    total_at timestamptz,             -- occurred_at of the event that carried total_lessons (rule 2)
    last_lesson_at timestamptz,       -- occurred_at of the event that named last_lesson_id (rule 5)
    last_accessed_at timestamptz,     -- null: reset, and nothing has come since
    started_at timestamptz,           -- the earliest event that counts
    completed_at timestamptz,         -- rule 4
    reset_at timestamptz,             -- no event up to here counts (rule 6)
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    lessons_completed integer not null default 0 check (lessons_completed >= 0),
    total_lessons integer check (total_lessons between 1 and 10000), -- null: not known yet
    completion_number integer not null default 0,                    -- rule 7
    last_lesson_id text collate "C",
    -- Rule 3: to the nearest whole number, 100 exactly when complete.
    progress_percentage integer generated always as (
        case
            when total_lessons is null then 0
            when lessons_completed >= total_lessons then 100
            else least(99, (200 * lessons_completed + total_lessons) / (2 * total_lessons))
        end) virtual,
    unique (user_id, course_id),
    -- Rule 4: a completion time exactly when complete. An unknown total is never complete.
    constraint complete_has_its_time check (
        (completed_at is not null) = coalesce(lessons_completed >= total_lessons, false))
) with (fillfactor = 80);

create index course_progress_all_course_id on course_progress_all (course_id);

-- What readers see: a row that was reset is not there until a later event arrives (rule 6).
create view course_progress as
select id, user_id, course_id, lessons_completed, total_lessons, progress_percentage, last_lesson_id,
       last_accessed_at, started_at, completed_at, completion_number, reset_at, created_at, updated_at
from course_progress_all
where last_accessed_at is not null;

-- select cp.completed_lessons from course_progress cp: a JSON array of lesson ids, in the order they were completed.
create function completed_lessons(cp course_progress) returns jsonb
language sql stable
return (
    select coalesce(jsonb_agg(l.lesson_id order by l.completed_at, l.lesson_id), '[]')
    from lesson_progress l
    where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed);

-- Up to where each partition is reflected in the tables above. Moved in the transaction that writes them, so it is
-- the truth; the offsets committed to Kafka only serve lag tools.
create table consumed_offset (
    consumer_group text not null,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    moved_at timestamptz not null default now(),
    primary key (consumer_group, topic, partition)
) with (fillfactor = 50);

-- What must be published to course-events, written with the rows that say so. The relay deletes what Kafka has
-- acknowledged. Debezium's outbox event router reads the same columns.
create table outbox (
    seq bigint generated always as identity primary key,
    id uuid not null,                 -- the CloudEvent's id
    aggregatetype text not null,      -- 'course'
    aggregateid text not null,        -- the record's key: the user
    type text not null,               -- the CloudEvent's type
    payload jsonb not null,           -- the CloudEvent's data
    occurred_at timestamptz not null, -- the CloudEvent's time
    -- The partition whose events caused it: its worker relays it, so that one user's events keep their order.
    source_topic text not null,
    source_partition integer not null
);

-- What the relay of one partition reads, however much waits for the others.
create index outbox_source on outbox (source_topic, source_partition, seq);
-- migrate:down
