-- Makes progress rows what the versions of their courses say (rules 8 to 11), and announces the transitions. Runs after
-- apply.sql in the same transaction, for the rows that it leaves, and for the rows of a course with a new version.
--
-- Reads course_version, course_lesson, course_replacement and lesson_progress; reads and writes course_progress_all;
-- inserts into outbox. Rows of courses without a version, and rows that are not there, are left alone.
--
-- $1-$5  per progress row: user, course, topic and partition whose worker publishes what changes, and the cause if it
--        is not the version
-- $6     whether milestones are announced (rule 17)
--
-- Returns one row: how many rows changed, became complete, are complete no longer; announced, how many events it inserted
-- into the outbox.
with
-- A row is written even if it stays as it is, because a batch that read it earlier must conflict.
progress_written as (
    update course_progress_all p
    set lessons_completed = j.lessons_completed, total_lessons = j.total_lessons, completed_at = j.completed_at,
        started_at = least(p.started_at, j.completed_at),
        completion_number = p.completion_number + (p.completed_at is null and j.completed_at is not null)::integer,
        course_version = j.course_version, judged_by = j.judged_by, lessons_waived = j.lessons_waived,
        milestone = greatest(coalesce(p.milestone, milestone_of(p.lessons_completed, p.total_lessons)),
                             milestone_of(j.lessons_completed, j.total_lessons)),
        updated_at = case when differs then now() else p.updated_at end
    from judge_progress($1, $2) j
    join course_progress_all a using (id)
    cross join lateral (
        select (a.lessons_completed, a.total_lessons, a.completed_at, a.course_version, a.judged_by, a.lessons_waived)
               is distinct from (j.lessons_completed, j.total_lessons, j.completed_at, j.course_version, j.judged_by,
                                 j.lessons_waived) as differs) compared
    where p.id = j.id
    returning differs, old.completed_at as completed_before, new.completed_at as completed_after, old.judged_by as judged_before,
              new.user_id, new.course_id, new.completion_number, new.lessons_completed, new.total_lessons,
              new.started_at, new.last_accessed_at, new.reset_at, new.judged_by, new.course_version, j.newest_since,
              j.title, new.milestone as milestone_after,
              coalesce(old.milestone, milestone_of(old.lessons_completed, old.total_lessons)) as milestone_before
),
rows_asked as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::text[])
                      as r (user_id, course_id, topic, partition, known_cause)
),
-- Rule 7. What the publication of a version alone has changed is dated by it.
transitions as (
    select case when completed_after is null then 'CourseCompletionRevoked' else 'CourseCompleted' end as type, w.*,
           case when completed_after is not null then completed_after
                when known_cause = 'reset' and not changed then reset_at
                when changed then greatest(newest_since, last_accessed_at)
                else coalesce(last_accessed_at, reset_at) end as occurred_at,
           case when changed then 'course-changed' else known_cause end as caused_by
    from (
        select *, judged_before <> judged_by and (completed_after is null or completed_after <= newest_since) as changed
        from progress_written
        join rows_asked using (user_id, course_id)
        where (completed_before is null) <> (completed_after is null)
    ) w
),
events_announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select m.id, 'course', user_id, m.type, m.payload, reached_at, topic, partition
    from progress_written w
    join rows_asked using (user_id, course_id)
    cross join lateral (
        select judged_before <> judged_by as by_version,
               greatest(last_accessed_at, reset_at, case when judged_before <> judged_by then newest_since end) as reached_at
    ) by
    cross join lateral milestone_events(
        user_id, course_id, milestone_before, milestone_after, reset_at, lessons_completed, total_lessons,
        course_version, case when by_version then 'course-changed' else coalesce(known_cause, 'course-changed') end,
        reached_at) m
    where milestone_after > milestone_before and $6
    union all
    select course_event_id(type, user_id, course_id, completion_number, occurred_at), 'course', user_id, type,
           course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons,
                                started_at, occurred_at, course_version, title, caused_by),
           occurred_at, topic, partition
    from transitions
    returning type
)
select (select count(*) from progress_written where differs) as changed,
       count(*) filter (where type = 'CourseCompleted') as completed,
       count(*) filter (where type = 'CourseCompletionRevoked') as revoked,
       count(*) as announced
from events_announced
