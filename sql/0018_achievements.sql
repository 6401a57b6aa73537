-- What learners earn on the way and at the end: milestones, active days, badges.

-- migrate:up

-- First without a default, so that no row is written: null says that nothing was announced before this migration.
alter table course_progress_all add column milestone smallint;
alter table course_progress_all alter column milestone set default 0;
comment on column course_progress_all.milestone is
    'the highest milestone since the last reset: 0, 25, 50 or 75 (rule 17); null: nothing has changed since there are '
    'milestones, and what the row says is not announced any more';

-- One expression, which the planner puts in place of the call. The percentage is that of rule 3.
create function milestone_of(lessons_completed integer, total_lessons integer) returns smallint
language sql immutable parallel safe
return case when total_lessons > 0
            then least(75, (200 * lessons_completed + total_lessons) / (2 * total_lessons) / 25 * 25)::smallint
            else 0::smallint end;

-- The milestones above `passed_before`, up to `passed`, each as a course event (events/models.py). The planner puts the
-- body in place of the call.
create function milestone_events(
    user_id uuid, course_id uuid, passed_before smallint, passed smallint, run timestamptz, lessons_completed integer,
    total_lessons integer, course_version integer, cause text, reached_at timestamptz
) returns table (id uuid, type text, payload jsonb)
language sql stable parallel safe
begin atomic
    select uuid_v8('ProgressMilestoneReached/' || user_id || '/' || course_id || '/' || milestone || '/'
                   || coalesce((extract(epoch from run - timestamptz '1970-01-01 00:00:00+00') * 1000000)::bigint::text,
                               'start')) as id,
           'ProgressMilestoneReached' as type,
           jsonb_build_object('user_id', user_id, 'course_id', course_id, 'milestone', milestone, 'run', run,
                              'lessons_completed', lessons_completed, 'total_lessons', total_lessons,
                              'course_version', course_version, 'cause', cause, 'reached_at', reached_at,
                              'title', (select v.title from course_version v
                                        where milestone_events.course_version > 0 and v.course_id = milestone_events.course_id
                                          and v.version = milestone_events.course_version)) as payload
    from generate_series(passed_before + 25, passed, 25) as milestone;
end;

comment on function milestone_of is 'The highest of 0, 25, 50 and 75 that the percentage of rule 3 reaches.';
comment on function milestone_events is
    'The data and ids of the ProgressMilestoneReached from one milestone to another: events.milestone_event_id in SQL.';

alter function milestone_of(integer, integer) owner to course_progress_owner;
alter function milestone_events(uuid, uuid, smallint, smallint, timestamptz, integer, integer, integer, text, timestamptz)
    owner to course_progress_owner;
revoke all on function milestone_of(integer, integer) from public;
revoke all on function milestone_events(uuid, uuid, smallint, smallint, timestamptz, integer, integer, integer, text,
                                        timestamptz) from public;
grant execute on function milestone_of(integer, integer) to course_progress_worker;
grant execute on function milestone_events(uuid, uuid, smallint, smallint, timestamptz, integer, integer, integer, text,
                                           timestamptz) to course_progress_worker;

create table active_day (
    user_id uuid not null,
    day date not null,
    utc_offset smallint not null,
    primary key (user_id, day, utc_offset)
);
create table active_instant (
    user_id uuid not null,
    at timestamptz not null,
    primary key (user_id, at)
);
create table studied_lesson (
    user_id uuid not null,
    course_id uuid not null,
    lesson_id text collate "C" not null,
    completed_at timestamptz not null,
    primary key (user_id, course_id, lesson_id)
);
create table badge_rule (
    badge text collate "C" primary key,
    rule jsonb not null,
    since timestamptz not null default now(),
    after_user uuid,
    scanned_at timestamptz
);
create table badge_award (
    user_id uuid not null,
    badge text collate "C" not null,
    number integer not null,
    title text not null,
    description text not null,
    course_id uuid,
    earned_on date not null,
    awarded_at timestamptz not null default now(),
    cause text not null,
    fresh boolean not null,
    revoked_at timestamptz,
    primary key (user_id, badge, number)
);
create index badge_award_of_badge on badge_award (badge);

comment on table active_day is
    'One row: a day on which a learner completed a lesson, by a clock with this offset from UTC (rule 18). Rows are only '
    'added.';
comment on column active_day.utc_offset is 'of the clock, in minutes, as the event told it; never 0';
comment on table active_instant is
    'One row: a quarter of an hour in which a learner completed a lesson, told in UTC. It has its day when it is read, in '
    'the learner''s time zone of then (rule 18). Rows are only added.';
comment on table studied_lesson is
    'One row: a lesson that a learner has completed, whatever became of it. completed_at is the earliest.';
comment on table badge_rule is 'One row: a badge that is declared, and how far its rule was tried on who is there.';
comment on column badge_rule.since is 'since when it has this rule';
comment on column badge_rule.after_user is 'learners up to here were looked at; null: none';
comment on column badge_rule.scanned_at is 'when all had been looked at; null: not yet';
comment on table badge_award is
    'One row: a badge that a learner was awarded. It stays when the badge is declared no more.';
comment on column badge_award.number is 'of the completion, of a revocable badge; else 1';
comment on column badge_award.earned_on is 'the day that made it up, as the learner''s calendar has it';
comment on column badge_award.cause is 'learner, or rule-changed: it was earned before the badge had this rule';
comment on column badge_award.fresh is 'whether it was earned the day that it was awarded, or the day before';
comment on column badge_award.revoked_at is 'null: the learner has it';

do $$
declare
    name text;
begin
    foreach name in array array['active_day', 'active_instant', 'studied_lesson', 'badge_rule', 'badge_award'] loop
        execute format('alter table %I owner to course_progress_owner', name);
        execute format('grant select, insert, update, delete on %I to course_progress_effects', name);
        execute format('grant select on %I to course_progress_reader', name);
    end loop;
end $$;
grant select on announced_completion to course_progress_reader;
grant select (user_id, timezone) on learner to course_progress_reader; -- not the name, not the address
-- migrate:down
