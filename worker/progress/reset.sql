-- Makes progress rows forget every event up to their reset, "start over" (rule 6). Runs before apply.sql, in the same
-- transaction, for the batches that carry resets; apply.sql then ignores events up to reset_at.
--
-- Reads and writes course_progress_all and lesson_progress; inserts into outbox. A row without a later event becomes
-- invisible to readers and stays as a tombstone, so that late events cannot bring it back. Lessons decided later than
-- the reset stay. A reset that is older than a known one changes nothing.
--
-- $1-$5  per reset: user, course, time, and the topic and partition that it came from
-- $6     whether milestones are announced (rule 17): a late reset may leave lessons that reach some in the new run
--
-- Returns how many events it inserted into the outbox.
with
-- The resets that are newer than those known, each with the progress row that it is about, if there is one.
resets as materialized (
    select g.*, p.id
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::integer[])
             as g (user_id, course_id, reset_at, topic, partition)
    left join course_progress_all p on p.user_id = g.user_id and p.course_id = g.course_id
    where g.reset_at > coalesce(p.reset_at, '-infinity')
),
lessons_deleted as (
    delete from lesson_progress l using resets r
    where l.user_id = r.user_id and l.course_id = r.course_id and l.changed_at <= r.reset_at
),
lessons_kept as (
    update lesson_progress l
    set completed_at = k.completed_at,
        completions = case when not times <@ array[k.completed_at, case when l.completed then l.changed_at end]
                           then times end
    from resets r
    cross join lateral (
        select b.ctid as row_ctid, times,
               case when b.completed then (select min(t) from unnest(times) t where t >= coalesce(b.uncompleted_at, t))
                    end as completed_at
        from lesson_progress b
        cross join lateral (
            select array(select distinct t
                         from unnest(known_times(b.completions, b.completed, b.completed_at, b.changed_at)) t
                         where t > r.reset_at order by t) as times
            offset 0 -- a fence: computed once
        ) known
        where b.user_id = r.user_id and b.course_id = r.course_id and b.changed_at > r.reset_at
    ) k
    where l.ctid = k.row_ctid
    returning l.user_id, l.course_id, l.completed, l.changed_at, l.completed_at
),
lessons_after as (
    select user_id, course_id, count(*) filter (where completed)::integer as lessons_completed,
           min(coalesce(completed_at, changed_at)) as started_at,
           array_agg(completed_at order by completed_at) filter (where completed) as dates
    from lessons_kept
    group by user_id, course_id
),
-- Every progress row that was reset, before and after.
progress_written as (
    merge into course_progress_all p
    using (select r.*, l.started_at, l.dates, coalesce(l.lessons_completed, 0) as lessons_completed
           from resets r left join lessons_after l using (user_id, course_id)) r
        on p.id = r.id
    when matched then update set
        reset_at = r.reset_at,
        lessons_completed = case when p.judged_by > 0 then p.lessons_completed else r.lessons_completed end,
        total_lessons = case when p.judged_by > 0 or p.total_at > r.reset_at then p.total_lessons end,
        total_at = case when p.total_at > r.reset_at then p.total_at end,
        last_lesson_id = case when p.last_lesson_at > r.reset_at then p.last_lesson_id end,
        last_lesson_at = case when p.last_lesson_at > r.reset_at then p.last_lesson_at end,
        last_accessed_at = case when p.last_accessed_at > r.reset_at then p.last_accessed_at end,
        started_at = case when p.started_at > r.reset_at then p.started_at
                          when p.last_accessed_at > r.reset_at then least(r.started_at, p.last_accessed_at,
                                     case when p.completed_at > r.reset_at then p.completed_at end) end,
        -- Rule 4: an announced date that still counts stays; else it is that of the lesson that makes up the total.
        -- Of a course with versions, judge.sql finds the date next, and whether there is one.
        completed_at = case when p.judged_by > 0 then case when p.completed_at is not null then 'infinity'::timestamptz end
                            when p.total_at > r.reset_at and r.lessons_completed >= p.total_lessons
                            then case when p.completed_at > r.reset_at then p.completed_at
                                      else r.dates[p.total_lessons] end
                       end,
        -- A new run. Of a course with versions, judge.sql finds what it has reached.
        milestone = case when p.judged_by > 0 then 0
                         else milestone_of(r.lessons_completed,
                                           case when p.total_at > r.reset_at then p.total_lessons end) end,
        updated_at = now()
    when not matched then insert (user_id, course_id, reset_at) values (r.user_id, r.course_id, r.reset_at)
    returning r.topic as source_topic, r.partition as source_partition, old.completed_at as completed_before,
              new.completed_at as completed_after, new.user_id, new.course_id, new.completion_number,
              new.lessons_completed, new.total_lessons, new.started_at, new.reset_at, new.course_version,
              new.last_accessed_at, new.milestone
),
-- Rule 7. The rows that are no longer complete. A reset completes no course.
transitions as (
    select 'CourseCompletionRevoked' as type, user_id, course_id, completed_before, completed_after, completion_number,
           lessons_completed, total_lessons, started_at, reset_at as occurred_at, source_topic, source_partition,
           course_version, (select v.title from course_version v
                            where v.course_id = w.course_id and v.version = w.course_version) as title
    from progress_written w
    where completed_before is not null and completed_after is null
),
events_announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select m.id, 'course', user_id, m.type, m.payload, last_accessed_at, source_topic, source_partition
    from progress_written
    cross join lateral milestone_events(user_id, course_id, 0::smallint, milestone, reset_at, lessons_completed,
                                        total_lessons, course_version, 'reset', last_accessed_at) m
    where milestone > 0 and $6
    union all
    select course_event_id(type, user_id, course_id, completion_number, occurred_at), 'course', user_id, type,
           course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons,
                                started_at, occurred_at, course_version, title, 'reset'),
           occurred_at, source_topic, source_partition
    from transitions
    returning 1
)
select count(*) from events_announced
