-- What courses consist of: versions that never change, and what each progress row was judged by.

-- migrate:up

create table course_version (
    course_id uuid not null,
    version integer not null check (version >= 1),
    published_at timestamptz not null,
    policy text not null check (policy in ('grandfather', 'reopen')),
    needed integer not null check (needed between 1 and 2000),
    title text,
    content jsonb not null,
    digest bytea not null,
    primary key (course_id, version)
);

-- "C": as in lesson_progress, with which it is compared.
create table course_lesson (
    course_id uuid not null,
    version integer not null,
    position integer not null,
    required boolean not null,
    lesson_id text collate "C" not null,
    primary key (course_id, version, lesson_id),
    foreign key (course_id, version) references course_version (course_id, version)
);

create table course_replacement (
    course_id uuid not null,
    lesson_id text collate "C" not null,
    replaced_id text collate "C" not null,
    primary key (course_id, lesson_id, replaced_id)
);

create table course_deleted (
    course_id uuid primary key,
    deleted_at timestamptz not null
);

create table known_epoch (
    only_row boolean primary key default true check (only_row),
    epoch bigint not null
);
insert into known_epoch (epoch) values (0);

create table course_recount (
    course_id uuid primary key,
    version integer not null,
    after_user uuid,
    rows_seen bigint not null default 0,
    rows_changed bigint not null default 0,
    completed bigint not null default 0,
    revoked bigint not null default 0,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);

-- No default for rows that are there: a column with a constant default is added without writing a row.
alter table course_progress_all
    add column course_version integer not null default 0,
    add column judged_by integer not null default 0,
    add column lessons_waived integer not null default 0;
alter table lesson_progress add column completions timestamptz[];

create table lesson_waiver (
    user_id uuid not null,
    course_id uuid not null,
    lesson_id text collate "C" not null,
    waived_at timestamptz[] not null,
    withdrawn_at timestamptz,
    reason text,
    primary key (user_id, course_id, lesson_id)
);

create table transition (
    event_id uuid primary key,
    type text not null check (type in ('CourseCompleted', 'CourseCompletionRevoked')),
    user_id uuid not null,
    course_id uuid not null,
    occurred_at timestamptz not null,
    completion_number integer not null,
    course_version integer not null,
    cause text not null,
    recorded_at timestamptz not null default now()
);
create index transition_of_learner on transition (user_id, course_id, completion_number);

create or replace view course_progress as
select id, user_id, course_id, lessons_completed, total_lessons, progress_percentage, last_lesson_id,
       last_accessed_at, started_at, completed_at, completion_number, reset_at, created_at, updated_at, course_version,
       lessons_waived
from course_progress_all
where last_accessed_at is not null;

-- A worker of an earlier release would count a course with versions by its events' totals: `catalog publish` asks.
alter table worker_status add column knows_versions boolean not null default false;

-- Workers of the release before write no `completions`, so completed_at and changed_at may say more than these. Both are
-- one expression, which the planner puts in place of the call.
create function known_times(
    completions timestamptz[], completed boolean, completed_at timestamptz, changed_at timestamptz
) returns timestamptz[]
language sql immutable parallel safe
return coalesce(completions, '{}') || array[completed_at, case when completed then changed_at end];

create function keep_times(times timestamptz[]) returns timestamptz[]
language sql immutable parallel safe
return case when cardinality(times) > 100 then times[:50] || times[cardinality(times) - 49:] else times end;

-- The one with fewer arguments stays for workers of the release before.
create function course_event_payload(
    type text, user_id uuid, course_id uuid, completion_number integer, lessons_completed integer,
    total_lessons integer, started_at timestamptz, occurred_at timestamptz, course_version integer, title text,
    cause text
) returns jsonb
language sql stable parallel safe
return course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons, started_at,
                            occurred_at)
    || jsonb_build_object('course_version', course_version, 'title', title, 'cause', cause);

-- Every statement that announces a transition inserts it into the outbox, whose rows are deleted once they are published.
create function record_transitions() returns trigger language plpgsql as $$
begin
    insert into transition (event_id, type, user_id, course_id, occurred_at, completion_number, course_version, cause)
    select id, type, (payload ->> 'user_id')::uuid, (payload ->> 'course_id')::uuid, occurred_at,
           (payload ->> 'completion_number')::integer, coalesce((payload ->> 'course_version')::integer, 0),
           coalesce(payload ->> 'cause', 'learner')
    from inserted
    where type in ('CourseCompleted', 'CourseCompletionRevoked')
    on conflict (event_id) do nothing;
    return null;
end
$$;
create trigger record_transitions after insert on outbox referencing new table as inserted
    for each statement execute function record_transitions();

-- A version of the course as the rules see it: in force from `in_force`, until `until`.
create type course_completion as (version integer, completed_at timestamptz);

-- One step of rules 9 and 10: what the learner was held to before this version, and what they are held to with it.
-- `made_up_at`: when the needed lessons of this version were completed; null: they are not.
create function hold_to_version(
    held course_completion, version integer, policy text, in_force timestamptz, until timestamptz,
    made_up_at timestamptz
) returns course_completion
language sql immutable parallel safe
return case
    when (held).version is not null and policy = 'grandfather' then held
    when (held).version is not null and made_up_at <= greatest((held).completed_at, in_force)
        then row(version, (held).completed_at)::course_completion
    when made_up_at is not null and greatest(made_up_at, in_force) < until
        then row(version, greatest(made_up_at, in_force))::course_completion
end;

create aggregate held_version(integer, text, timestamptz, timestamptz, timestamptz) (
    sfunc = hold_to_version, stype = course_completion, parallel = safe
);

-- Judges progress rows by the versions of their courses (rules 8 to 11): what each row must say. Reads alone.
-- `newest_since`: when the newest version came into force.
create function judge_progress(users uuid[], courses uuid[]) returns table (
    id bigint, lessons_completed integer, total_lessons integer, completed_at timestamptz, course_version integer,
    judged_by integer, newest_since timestamptz, lessons_waived integer, title text
)
language sql stable parallel safe as $$
with
rows_judged as materialized (
    select p.id, r.user_id, r.course_id, coalesce(p.reset_at, '-infinity') as counts_after
    from unnest(users, courses) as r (user_id, course_id)
    cross join lateral (
        select id, reset_at from course_progress_all a
        where a.user_id = r.user_id and a.course_id = r.course_id
        offset 0 -- a fence: looked up by the whole key (0017)
    ) p
),
-- Each version with the time from which it is in force: its publication, or that of a lower version if that is later.
versions as materialized (
    select v.*, t.title, coalesce(lead(v.in_force) over (partition by v.course_id order by v.version), 'infinity') as until
    from (
        select course_id, version, policy, needed,
               coalesce(max(published_later) over (partition by course_id order by version), '-infinity') as in_force
        from (
            select v.*, case when version > min(version) over (partition by course_id) then published_at end
                       as published_later
            from course_version v
            where course_id in (select course_id from rows_judged)
        ) v
    ) v
    join course_version t using (course_id, version)
),
lessons_required as materialized (
    select c.*
    from (select distinct course_id from rows_judged) r
    cross join lateral (
        select course_id, version, lesson_id from course_lesson l where l.course_id = r.course_id and l.required
        offset 0 -- a fence, as above
    ) c
),
lessons_done as materialized (
    select r.id, r.course_id, met.*
    from rows_judged r
    cross join lateral (
        select lesson_id, coalesce(completions[1], completed_at) as met_at, false as waived from lesson_progress l
        where l.user_id = r.user_id and l.course_id = r.course_id and l.completed and l.changed_at > r.counts_after
        union all
        select w.lesson_id, first, true
        from lesson_waiver w
        cross join lateral (
            select min(t) as first, max(t) as last from unnest(w.waived_at) t where t > r.counts_after
        ) waived
        where w.user_id = r.user_id and w.course_id = r.course_id and last >= coalesce(w.withdrawn_at, '-infinity')
        offset 0 -- a fence, as above
    ) met
),
-- Rule 8: the required lessons that are met, each with its earliest date.
lessons_met as (
    select d.id, d.course_id, c.version, c.lesson_id, min(d.met_at) as met_at, bool_or(d.waived) as waived
    from (
        select * from lessons_done
        union all
        select d.id, d.course_id, m.lesson_id, d.met_at, d.waived
        from lessons_done d
        join course_replacement m on m.course_id = d.course_id and m.replaced_id = d.lesson_id
    ) d
    join lessons_required c on c.course_id = d.course_id and c.lesson_id = d.lesson_id
    group by d.id, d.course_id, c.version, c.lesson_id
),
-- A row per progress row and version, also where no lesson is met. No outer join: the planner would take it for small,
-- and compare each progress row with all others.
lessons_counted as (
    select id, course_id, version, count(lesson_id)::integer as met, count(*) filter (where waived)::integer as waived,
           array_agg(met_at order by met_at) as met_at
    from (
        select id, course_id, version, lesson_id, met_at, waived from lessons_met
        union all
        select r.id, r.course_id, v.version, null, null, false
        from rows_judged r
        join versions v on v.course_id = r.course_id
    ) lesson
    group by id, course_id, version
),
-- Rules 9 and 10.
rows_held as (
    select l.id, max(v.version) as newest, max(v.in_force) as newest_since,
           held_version(v.version, v.policy, v.in_force, v.until, l.met_at[v.needed] order by v.version) as held,
           array_agg(v.version order by v.version) as version, array_agg(v.needed order by v.version) as needed,
           array_agg(v.title order by v.version) as title, array_agg(l.met order by v.version) as met,
           array_agg(l.waived order by v.version) as waived
    from lessons_counted l
    join versions v on v.course_id = l.course_id and v.version = l.version
    group by l.id
)
-- Rule 11.
select id, least(met[n], needed[n]), needed[n], (held).completed_at, version[n], newest, newest_since, waived[n],
       title[n]
from rows_held
cross join lateral (select array_position(version, coalesce((held).version, newest)) as n) of_version
$$;

comment on table course_version is
    'One row: one version of a course, as its owner published it (rules 8 to 11). It never changes.';
comment on column course_version.published_at is 'the CloudEvent''s time; the version is in force from then at the earliest';
comment on column course_version.needed is 'how many of the required lessons complete the course';
comment on column course_version.content is 'the CloudEvent''s data';
comment on column course_version.digest is 'of the content: another event of this version with another digest is refused';
comment on table course_lesson is 'One row: one lesson of one version of a course.';
comment on column course_lesson.position is 'from 1, in the order of the course';
comment on table course_replacement is
    'One row: a lesson counts as completed where the other is, by any version of the course (rule 8). Transitive.';
comment on table course_deleted is
    'One row: when the owner stopped offering the course. A version published later brings it back.';
comment on table known_epoch is
    'One row: grows whenever what workers must know of courses changes. A batch that was folded with older knowledge '
    'writes nothing.';
comment on table course_recount is
    'One row: how far the progress rows of a course are recounted for its newest version.';
comment on column course_recount.after_user is 'the rows of users up to here are done; null: none';
comment on column course_progress_all.course_version is
    'the version of the course that the row is complete under, otherwise the newest (rule 11); 0: it has none';
comment on column course_progress_all.judged_by is
    'the newest version of the course when the row was judged last; 0: none';
comment on column course_progress_all.lessons_waived is
    'how many of the required lessons of course_version are waived, completed or not (rule 8)';
comment on column lesson_progress.completions is
    'every time since the last reset at which the lesson was completed, in order, of more than 100 the first and last 50; '
    'null: completed_at alone, or also changed_at while it is completed; null, too: never';
comment on table lesson_waiver is
    'One row: the waivers of one lesson for one user. The last of waived_at and withdrawn_at decides (rule 8).';
comment on column lesson_waiver.waived_at is 'each waiver, in order; those up to the reset of the progress row do not count';
comment on column lesson_waiver.withdrawn_at is 'the last withdrawal';
comment on column lesson_waiver.reason is 'of the last waiver';
comment on table transition is
    'One row: one transition of a progress row, as it was announced (rules 7 and 12). Rows are only added.';
comment on column transition.event_id is 'the id of the course event';
comment on column transition.course_version is 'the version of the course that decided; 0: none';
comment on column transition.cause is 'as in the course event: docs/rules.md';
comment on column transition.recorded_at is 'when the database learnt of it';
comment on function known_times is 'The completions of a lesson row, some null or twice.';
comment on function keep_times is 'The times as they are stored: of more than 100 the first and last 50.';
comment on function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz, integer,
                                         text, text) is
    'The data of a CourseCompleted or CourseCompletionRevoked. Null for any other type.';
comment on function record_transitions is 'Keeps in `transition` what the outbox announces.';
comment on column worker_status.knows_versions is 'whether it counts by versions of courses';
comment on type course_completion is 'the version of a course that a learner is complete under, and since when';
comment on function hold_to_version is
    'One step of rules 9 and 10: which version a learner is complete under once this one is published, and since when.';
comment on aggregate held_version(integer, text, timestamptz, timestamptz, timestamptz) is
    'Rules 9 and 10 over the versions of a course, in their order; null: not complete.';
comment on function judge_progress is
    'What the progress rows of these users in these courses must say by the versions of the courses (rules 8 to 11). '
    'Leaves out rows that are not there, and courses without a version.';

do $$ declare t text; begin
    foreach t in array array['course_version', 'course_lesson', 'course_replacement', 'course_deleted', 'known_epoch',
                             'course_recount', 'lesson_waiver', 'transition'] loop
        execute format('alter table %I owner to course_progress_owner', t);
        execute format('grant select on %I to course_progress_reader', t);
        execute format('grant select, insert, update, delete on %I to course_progress_worker', t);
    end loop;
end $$;
revoke update, delete on transition from course_progress_worker; -- a log
alter function known_times(timestamptz[], boolean, timestamptz, timestamptz) owner to course_progress_owner;
alter function keep_times(timestamptz[]) owner to course_progress_owner;
alter function record_transitions() owner to course_progress_owner;
alter function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz, integer,
                                    text, text) owner to course_progress_owner;
alter type course_completion owner to course_progress_owner;
alter function hold_to_version(course_completion, integer, text, timestamptz, timestamptz, timestamptz)
    owner to course_progress_owner;
alter aggregate held_version(integer, text, timestamptz, timestamptz, timestamptz) owner to course_progress_owner;
alter function judge_progress(uuid[], uuid[]) owner to course_progress_owner;
revoke all on function hold_to_version(course_completion, integer, text, timestamptz, timestamptz, timestamptz)
    from public;
revoke all on function held_version(integer, text, timestamptz, timestamptz, timestamptz) from public;
revoke all on function judge_progress(uuid[], uuid[]) from public;
revoke all on function known_times(timestamptz[], boolean, timestamptz, timestamptz) from public;
revoke all on function keep_times(timestamptz[]) from public;
revoke all on function record_transitions() from public;
revoke all on function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz,
                                            integer, text, text) from public;
grant execute on function known_times(timestamptz[], boolean, timestamptz, timestamptz) to course_progress_worker;
grant execute on function keep_times(timestamptz[]) to course_progress_worker;
grant execute on function record_transitions() to course_progress_worker;
grant execute on function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz,
                                               integer, text, text) to course_progress_worker;
grant execute on function hold_to_version(course_completion, integer, text, timestamptz, timestamptz, timestamptz)
    to course_progress_worker;
grant execute on function held_version(integer, text, timestamptz, timestamptz, timestamptz) to course_progress_worker;
grant execute on function judge_progress(uuid[], uuid[]) to course_progress_worker;
-- migrate:down
