-- Ids of course events name the instant of their transition; what keeps delivery right when servers lose data.

-- migrate:up

-- UUIDv8 (RFC 9562) of a name: the first 16 bytes of its SHA-256, with version and variant. About 2 µs.
create function uuid_v8(name text) returns uuid
language sql immutable strict parallel safe
return (
    select encode(set_byte(set_byte(h, 6, get_byte(h, 6) & 15 | 128), 8, get_byte(h, 8) & 63 | 128), 'hex')::uuid
    from substr(sha256(convert_to(name, 'UTF8')), 1, 16) as h);

-- events.course_event_id in SQL. `at` is the CloudEvent's time; microseconds since 1970 write it.
create function course_event_id(
    type text, user_id uuid, course_id uuid, completion_number integer, at timestamptz
) returns uuid
language sql immutable strict parallel safe
return uuid_v8(type || '/' || user_id || '/' || course_id || '/' || completion_number || '/'
               || (extract(epoch from at - timestamptz '1970-01-01 00:00:00+00') * 1000000)::bigint);

alter function uuid_v8(text) owner to course_progress_owner;
alter function course_event_id(text, uuid, uuid, integer, timestamptz) owner to course_progress_owner;
revoke all on function uuid_v8(text) from public;
revoke all on function course_event_id(text, uuid, uuid, integer, timestamptz) from public;
grant execute on function uuid_v8(text) to course_progress_worker;
grant execute on function course_event_id(text, uuid, uuid, integer, timestamptz) to course_progress_worker;

comment on function uuid_v8 is
    'The UUIDv8 (RFC 9562) of a name: the first 16 bytes of its SHA-256, with version and variant.';
comment on function course_event_id(text, uuid, uuid, integer, timestamptz) is
    'The id under which a course event is published, always the same one: events.course_event_id in SQL.';
comment on function course_event_id(text, uuid, uuid, integer) is
    'The id of a course event in releases before 0008, whose workers may still run. A later migration drops it.';
comment on function uuid_v5 is
    'For course_event_id of releases before 0008. A later migration drops it.';

-- Which log the stored offset counts in: a log that goes back has a leader of a later epoch (KIP-320).
alter table consumed_offset add column leader_epoch integer;
comment on column consumed_offset.leader_epoch is
    'every record before next_offset was in the log of this leader epoch, or a later one; null: not known';
-- Offsets of partitions that are gone are deleted by `rewind`.
grant delete on consumed_offset to course_progress_worker;
-- Whether an event is applied depends on which topic the stored offsets count in.
grant select on known_topic to course_progress_reader;

-- A course event waits for older ones of its learner that another partition caused.
create index outbox_learner on outbox (aggregateid, seq);
-- migrate:down
