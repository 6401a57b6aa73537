-- Milestones on the way to a completion.

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
                               'start')),
           'ProgressMilestoneReached',
           jsonb_build_object('user_id', user_id, 'course_id', course_id, 'milestone', milestone, 'run', run,
                              'lessons_completed', lessons_completed, 'total_lessons', total_lessons,
                              'course_version', course_version, 'cause', cause, 'reached_at', reached_at,
                              'title', (select v.title from course_version v
                                        where v.course_id = milestone_events.course_id
                                          and v.version = milestone_events.course_version))
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
-- migrate:down
