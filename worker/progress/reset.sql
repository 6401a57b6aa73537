-- "Start over" (rule 6): makes progress rows forget every event up to their reset. Runs before apply.sql, in its
-- transaction, for the batches that carry resets; apply.sql then ignores events up to reset_at.
--
-- Promises: a row without a later event becomes invisible to readers and stays as a tombstone, so that late events
-- cannot bring it back; lessons decided later than the reset stay. A reset older than a known one changes nothing.
--
-- Returns how many revocations went to the outbox.
-- $1-$3 user, course and time of each reset; $4-$5 the partition it came from.
with
given as materialized (
    select g.*, p.id, p.completed_at is not null as was_complete
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::integer[])
             as g (user_id, course_id, reset_at, topic, partition)
    left join course_progress_all p on p.user_id = g.user_id and p.course_id = g.course_id
    where g.reset_at > coalesce(p.reset_at, '-infinity')
),
forgotten as (
    delete from lesson_progress l using given g
    where l.user_id = g.user_id and l.course_id = g.course_id and l.changed_at <= g.reset_at
),
-- A lesson completed before and again after: which completion came first after the reset is no longer known.
-- Its latest is.
kept as (
    update lesson_progress l
    set completed_at = case when l.completed_at <= g.reset_at then l.changed_at else l.completed_at end
    from given g
    where l.user_id = g.user_id and l.course_id = g.course_id and l.changed_at > g.reset_at
    returning l.user_id, l.course_id, l.completed, l.changed_at, l.completed_at
),
survivors as (
    select user_id, course_id, count(*) filter (where completed)::integer as lessons_completed,
           min(coalesce(completed_at, changed_at)) as started_at, max(completed_at) as completed_at
    from kept
    group by user_id, course_id
),
written as (
    merge into course_progress_all p
    using (select g.*, s.started_at, s.completed_at, coalesce(s.lessons_completed, 0) as lessons_completed
           from given g left join survivors s using (user_id, course_id)) g
        on p.id = g.id
    when matched then update set
        reset_at = g.reset_at,
        lessons_completed = g.lessons_completed,
        total_lessons = case when p.total_at > g.reset_at then p.total_lessons end,
        total_at = case when p.total_at > g.reset_at then p.total_at end,
        last_lesson_id = case when p.last_lesson_at > g.reset_at then p.last_lesson_id end,
        last_lesson_at = case when p.last_lesson_at > g.reset_at then p.last_lesson_at end,
        last_accessed_at = case when p.last_accessed_at > g.reset_at then p.last_accessed_at end,
        started_at = case when p.started_at > g.reset_at then p.started_at
                          when p.last_accessed_at > g.reset_at then least(g.started_at, p.last_accessed_at) end,
        completed_at = case when p.total_at > g.reset_at and g.lessons_completed >= p.total_lessons
                            then case when p.completed_at > g.reset_at then p.completed_at else g.completed_at end
                       end,
        updated_at = now()
    when not matched then insert (user_id, course_id, reset_at) values (g.user_id, g.course_id, g.reset_at)
    returning g.topic, g.partition, g.was_complete, g.reset_at as revoked_at, new.user_id, new.course_id,
              new.completed_at, new.completion_number, new.lessons_completed, new.total_lessons
),
-- Rule 7.
revoked as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select course_event_id('CourseCompletionRevoked', user_id, course_id, completion_number), 'course', user_id,
           'CourseCompletionRevoked', jsonb_build_object(
               'user_id', user_id, 'course_id', course_id, 'revoked_at', revoked_at,
               'completion_number', completion_number, 'lessons_completed', lessons_completed,
               'total_lessons', total_lessons), revoked_at, topic, partition
    from written
    where was_complete and completed_at is null
    returning 1
)
select count(*) from revoked
