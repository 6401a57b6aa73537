-- Who may do what. Three roles without a login, of which login roles are made members: docs/security-postgresql.md.
--
--   course_progress_owner   owns everything, and so migrates
--   course_progress_worker  what the worker's statements need (worker/queries/)
--   course_progress_reader  what ProgressService reads
--
-- A later migration gives what it adds to the owner, grants what the others need, and nobody else anything;
-- tests/security/test_roles.py compares all of it with a table.

-- migrate:up

-- Roles belong to the cluster: they may be there already, or be created by another database's migration right now.
do $$
declare
    missing text;
begin
    foreach missing in array array['course_progress_owner', 'course_progress_worker', 'course_progress_reader'] loop
        continue when to_regrole(missing) is not null;
        begin
            execute format('create role %I', missing);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
    -- Whoever migrates must be able to give the tables away, and to change them later.
    if not pg_has_role('course_progress_owner', 'set') then
        grant course_progress_owner to current_user;
    end if;
    execute format('grant usage, create on schema %I to course_progress_owner', current_schema);
    execute format('grant usage on schema %I to course_progress_worker, course_progress_reader', current_schema);
exception when insufficient_privilege then
    raise insufficient_privilege using message = format(
        '%s. Let an administrator run: create role course_progress_owner; create role course_progress_worker; '
        'create role course_progress_reader; grant course_progress_owner to %I; '
        'alter database %I owner to course_progress_owner', sqlerrm, current_user, current_database());
end $$;

alter table lesson_progress owner to course_progress_owner;
alter table course_progress_all owner to course_progress_owner;
alter view course_progress owner to course_progress_owner;
alter table consumed_offset owner to course_progress_owner;
alter table outbox owner to course_progress_owner;
alter function uuid_v5(uuid, text) owner to course_progress_owner;
alter function course_event_id(text, uuid, uuid, integer) owner to course_progress_owner;
alter function completed_lessons(course_progress) owner to course_progress_owner;
-- The bookkeeping too, or only the role that migrated first could migrate again.
alter table if exists schema_migrations owner to course_progress_owner;

-- Functions are everybody's unless one says otherwise; tables are nobody's.
revoke all on function uuid_v5(uuid, text) from public;
revoke all on function course_event_id(text, uuid, uuid, integer) from public;
revoke all on function completed_lessons(course_progress) from public;

grant select, insert, update, delete on lesson_progress to course_progress_worker;
grant select, insert, update on course_progress_all, consumed_offset to course_progress_worker;
grant select, insert, delete on outbox to course_progress_worker;
grant execute on function course_event_id(text, uuid, uuid, integer) to course_progress_worker;
grant execute on function uuid_v5(uuid, text) to course_progress_worker; -- which course_event_id calls

-- Not course_progress_all: a row that was reset is nobody's to see (rule 6).
grant select on course_progress, lesson_progress, consumed_offset to course_progress_reader;
grant execute on function completed_lessons(course_progress) to course_progress_reader;
-- migrate:down
