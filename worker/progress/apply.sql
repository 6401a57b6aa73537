-- Writes one folded batch in one statement: all of it, or nothing.
--
-- Reads and writes consumed_offset, lesson_progress and course_progress_all; inserts into outbox. Rows change only if
-- every partition's stored offset is the one that this worker last saw, and the offsets move with the rows. Applying an
-- event again, late or in another order ends in the same lessons and counts (rules 1-6 of docs/rules.md).
--
-- Needs REPEATABLE READ. A row that another worker changed meanwhile raises 40001, a row that it inserted raises 23505,
-- and the worker repeats the batch. So each row that is updated here is as it was read here.
--
-- One plan serves every batch, so no step may depend on an estimate: docs/decisions/0017.
--
-- $1       consumer group
-- $2-$6    per partition: topic, partition, the stored offset that the worker last saw (null: none), the next offset,
--          its leader epoch (null: not known)
-- $7-$19   per progress row: user, course, the partition that its events came from (its number in $2-$6, from 1),
--          started_at, last_accessed_at, total_lessons and its time, last_lesson_id and its time; the course's newest
--          version (0: it has none; then total_lessons is that of its latest event, else how many lessons it needs),
--          whether the row must be judged by judge.sql, what has caused the events, the last access's offset from UTC
--          in minutes
-- $20-$25  per lesson row: its progress row (its number in $7-$19, from 1), lesson, last completion, all completions
--          (a text; null: only the last), last un-completion, whether the lesson counts
-- $26      the epoch of what the worker knows of the courses
-- $27      whether milestones are announced (rule 17)
-- A time left out ($10, $13, $15) is the progress row's last_accessed_at.
--
-- In a course with versions it only counts, and only while the row stays incomplete: judge.sql does the rest.
--
-- Returns one row: won, whether the batch was written; epoch, which differs from $26 where the worker must learn anew;
-- found_elsewhere, each partition whose stored offset differs, with the offset found; announced, how many events it
-- inserted into the outbox; to_judge, the numbers of the progress rows that judge.sql must judge.
with
offsets as materialized (
    select o.*, c.next_offset as found
    from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[])
             as o (topic, partition, expected, next, leader_epoch)
    left join consumed_offset c
        on c.consumer_group = $1 and c.topic = o.topic and c.partition = o.partition
),
-- Whoever publishes a version waits for this lock, so no row is counted by a version that is not the newest any more.
known as materialized (
    select epoch from known_epoch for share
),
-- The compare of the compare-and-swap. Every step below writes only where `won`.
swap as materialized (
    select coalesce(bool_and(found is not distinct from expected), true) and (select epoch from known) = $26 as won
    from offsets
),
offsets_moved as (
    merge into consumed_offset c
    using (select o.* from offsets o cross join swap where won) o
        on c.consumer_group = $1 and c.topic = o.topic and c.partition = o.partition
    when matched then update
        set next_offset = o.next, leader_epoch = coalesce(o.leader_epoch, c.leader_epoch), moved_at = now()
    when not matched then insert (consumer_group, topic, partition, next_offset, leader_epoch)
        values ($1, o.topic, o.partition, o.next, o.leader_epoch)
),
-- The stored progress rows, merged with the parts of the batch that need no lesson row: the latest total (rule 2), the
-- last lesson and the last access (rule 5). Events up to a reset do not count (rule 6).
progress_before as materialized (
    select g.batch_row, g.user_id, g.course_id, g.source, p.row_ctid, p.completed_at, counts_after,
           coalesce(p.completion_number, 0) as completion_number,
           coalesce(p.lessons_completed, 0) as lessons_completed, g.course_version,
           g.cause,
           g.course_version > 0 and (g.must_judge or p.judged_by <> g.course_version or p.lessons_waived > 0)
               as left_to_judge,
           case when newer_total or (g.course_version > 0 and p.row_ctid is null) then g.total_lessons
                else p.total_lessons end as total_lessons,
           case when newer_total then new_total_at else p.total_at end as total_at,
           case when newer_lesson then g.last_lesson_id else p.last_lesson_id end as last_lesson_id,
           case when newer_lesson then new_lesson_at else p.last_lesson_at end as last_lesson_at,
           greatest(p.last_accessed_at, g.last_accessed_at) as last_accessed_at,
           case when (p.last_accessed_at, p.utc_offset) > (g.last_accessed_at, g.utc_offset)
                then p.utc_offset else g.utc_offset end as utc_offset,
           -- Of events on both sides of a reset in one batch only the latest time is certain to count.
           least(p.started_at, case when g.started_at > counts_after
                                    then g.started_at else g.last_accessed_at end) as started_at
    from unnest($7::uuid[], $8::uuid[], $9::integer[], $10::timestamptz[], $11::timestamptz[],
                $12::integer[], $13::timestamptz[], $14::text[], $15::timestamptz[], $16::integer[], $17::boolean[],
                $18::text[], $19::smallint[])
             with ordinality as g (user_id, course_id, source, started_at, last_accessed_at, total_lessons, total_at,
                                   last_lesson_id, last_lesson_at, course_version, must_judge, cause, utc_offset,
                                   batch_row)
    cross join swap
    left join lateral (
        select a.ctid as row_ctid, a.* from course_progress_all a
        where a.user_id = g.user_id and a.course_id = g.course_id
        offset 0 -- a fence: looked up by the whole key, however large the planner takes the table to be (0017)
    ) p on true
    cross join lateral (select
        coalesce(p.reset_at, '-infinity') as counts_after,
        case when g.total_lessons is not null and g.course_version = 0 then coalesce(g.total_at, g.last_accessed_at) end as new_total_at,
        case when g.last_lesson_id is not null then coalesce(g.last_lesson_at, g.last_accessed_at) end as new_lesson_at)
    cross join lateral (select
        new_total_at > counts_after
            and coalesce((new_total_at, g.total_lessons) > (p.total_at, p.total_lessons), true) as newer_total,
        new_lesson_at > counts_after
            and coalesce((new_lesson_at, g.last_lesson_id) > (p.last_lesson_at, p.last_lesson_id), true)
            as newer_lesson)
    where won and g.last_accessed_at > counts_after
),
-- A row per lesson that the batch changes: the ctid of its lesson row, and what it becomes (rule 1). It knows every time
-- at which the lesson was completed, and when it was last un-completed. Of one completed at most twice since then,
-- completed_at and changed_at say all of that, and `completions` is null. So three times, `first`, `latest` and `added`,
-- nearly always are all; an array is built only where there are `others`.
lesson_changes as materialized (
    select batch_row, total_lessons, user_id, course_id, lesson_id, row_ctid, counts, completed,
           greatest(last, cut) as changed_at, completed_at, cut as uncompleted_at,
           case when others is not null
                     or case when completed then first not in (completed_at, last) or latest not in (completed_at, last)
                                                 or added not in (completed_at, last)
                             else last is not null end
                then (select case when not times <@ array[completed_at, case when completed then last end]
                                  then keep_times(times) end
                      from (select array(select distinct t from unnest(array[first, latest, added] || others) t
                                         where t > counts_after order by t) as times)) end as completions
    from (
        select *, case when completed
                       then least(case when first >= since then first end, case when latest >= since then latest end,
                                  case when added >= since then added end,
                                  case when others is not null
                                       then (select min(t) from unnest(others) t
                                             where t >= since and t > counts_after) end) end as completed_at
        from (
            select *, coalesce(last >= since, false) as completed
            from unnest($20::integer[], $21::text[], $22::timestamptz[], $23::text[], $24::timestamptz[], $25::boolean[])
                     as g (batch_row, lesson_id, last_completed_at, completions, uncompleted_at, counts)
            join (select batch_row, total_lessons, user_id, course_id, counts_after from progress_before) p
                using (batch_row)
            left join lateral (
                select ctid as row_ctid, completed as was_completed, completed_at as first_completed_at, changed_at,
                       uncompleted_at as was_uncompleted_at, completions as others_before
                from lesson_progress b
                where b.user_id = p.user_id and b.course_id = p.course_id and b.lesson_id = g.lesson_id
                offset 0 -- a fence, as above
            ) l on true
            cross join lateral (select
                greatest(was_uncompleted_at, uncompleted_at) as cut,
                case when first_completed_at > counts_after then first_completed_at end as first,
                case when was_completed and changed_at > counts_after then changed_at end as latest,
                case when last_completed_at > counts_after then last_completed_at end as added,
                others_before || completions::timestamptz[] as others)
            cross join lateral (select
                coalesce(cut, '-infinity') as since,
                greatest(first, latest, added,
                         case when others is not null
                              then (select max(t) from unnest(others) t where t > counts_after) end) as last)
            where greatest(last_completed_at, uncompleted_at) > counts_after
            offset 0 -- a fence: computed once
        )
        offset 0 -- a fence: computed once
    )
),
lessons_written as (
    merge into lesson_progress l
    using lesson_changes g
        on l.ctid = g.row_ctid
    when matched and (l.completed, l.changed_at, l.completed_at, l.uncompleted_at, l.completions)
        is distinct from (g.completed, g.changed_at, g.completed_at, g.uncompleted_at, g.completions)
    then update set completed = g.completed, changed_at = g.changed_at, completed_at = g.completed_at,
                    uncompleted_at = g.uncompleted_at, completions = g.completions
    when not matched then insert (user_id, course_id, lesson_id, completed, changed_at, completed_at, uncompleted_at,
                                  completions)
        values (g.user_id, g.course_id, g.lesson_id, g.completed, g.changed_at, g.completed_at, g.uncompleted_at,
                g.completions)
    returning g.batch_row, g.total_lessons, g.lesson_id, new.completed, new.completed_at,
              -- Under an earlier version, a completion that was taken back may count again (rule 9).
              new.completions is not null as has_past,
              case when g.counts then new.completed::integer - coalesce(old.completed, false)::integer end as change
),
-- What each progress row becomes, except the date of a new completion (rules 2 and 4).
progress_after as materialized (
    select p.batch_row, p.user_id, p.course_id, p.source, p.row_ctid, p.completed_at, p.completion_number,
           p.started_at, p.last_accessed_at, p.utc_offset, p.total_lessons, p.total_at, p.last_lesson_id,
           p.last_lesson_at, p.course_version, p.cause, to_judge,
           case when to_judge then p.lessons_completed else counted end as lessons_completed,
           not to_judge and enough and completed_at is null as completes,
           not to_judge and not enough and completed_at is not null as reopens
    from progress_before p
    left join (select batch_row, sum(change)::integer as change, bool_or(has_past) as has_past
               from lessons_written group by batch_row) d
        using (batch_row)
    cross join lateral (select p.lessons_completed + coalesce(d.change, 0) as counted)
    cross join lateral (select coalesce(counted >= p.total_lessons, false) as enough)
    cross join lateral (
        select p.left_to_judge
               or (p.course_version > 0 and d.batch_row is not null
                   and (enough or p.completed_at is not null or d.has_past))
                   as to_judge)
),
-- Rule 4: a course is complete since the completion that made up its total, whichever arrived last.
completion_dates as (
    select batch_row, completed_at
    from (
        select batch_row, total_lessons, completed_at,
               row_number() over (partition by batch_row order by completed_at) as nth
        from (
            -- `in` under a `case`, and `not in`, are looked up in a hash table; a join might be a nested loop.
            select batch_row, total_lessons, completed_at from lessons_written
            where case when completed then batch_row in (select batch_row from progress_after where completes) end
            union all
            select a.batch_row, a.total_lessons, l.completed_at
            from progress_after a
            cross join lateral (
                select lesson_id, completed_at from lesson_progress l
                where l.user_id = a.user_id and l.course_id = a.course_id and l.completed
                offset 0 -- a fence: the few rows are looked up by index, the table is never scanned
            ) l
            where a.completes and (a.batch_row, l.lesson_id) not in (select batch_row, lesson_id from lessons_written)
        ) done
    ) ranked
    where nth = total_lessons
),
-- Every progress row that changed, before and after the batch.
progress_written as (
    merge into course_progress_all p
    using (
        select a.*, a.completion_number + a.completes::integer as number,
               -- With a reset, a lesson may be earlier than the earliest event that certainly counts.
               least(a.started_at, d.completed_at) as begun_at,
               case when a.completes then d.completed_at when not a.reopens then a.completed_at end as completed_since
        from progress_after a
        full join completion_dates d on d.batch_row = a.batch_row -- returns a left join's rows, never by nested loop
    ) a
        on p.ctid = a.row_ctid -- where `progress_before` found it; if another worker changed it since, 40001
    when matched and (p.lessons_completed, p.total_lessons, p.total_at, p.last_lesson_id, p.last_lesson_at,
                      p.started_at, p.last_accessed_at, p.utc_offset, p.completed_at)
        is distinct from (a.lessons_completed, a.total_lessons, a.total_at, a.last_lesson_id, a.last_lesson_at,
                          a.begun_at, a.last_accessed_at, a.utc_offset, a.completed_since)
    then update set
        lessons_completed = a.lessons_completed, total_lessons = a.total_lessons, total_at = a.total_at,
        last_lesson_id = a.last_lesson_id, last_lesson_at = a.last_lesson_at, started_at = a.begun_at,
        last_accessed_at = a.last_accessed_at, utc_offset = a.utc_offset, completed_at = a.completed_since,
        completion_number = a.number, updated_at = now(),
        milestone = greatest(coalesce(p.milestone, milestone_of(p.lessons_completed, p.total_lessons)),
                             milestone_of(a.lessons_completed, a.total_lessons))
    when not matched then insert (user_id, course_id, lessons_completed, total_lessons, total_at, last_lesson_id,
                                  last_lesson_at, started_at, last_accessed_at, utc_offset, completed_at,
                                  completion_number, course_version, judged_by, milestone)
        values (a.user_id, a.course_id, a.lessons_completed, a.total_lessons, a.total_at, a.last_lesson_id,
                a.last_lesson_at, a.begun_at, a.last_accessed_at, a.utc_offset, a.completed_since, a.number,
                a.course_version, a.course_version, milestone_of(a.lessons_completed, a.total_lessons))
    returning a.source, a.cause, old.completed_at as completed_before, new.completed_at as completed_after,
              old.lessons_completed as lessons_before, old.total_lessons as total_before, new.user_id, new.course_id,
              new.completion_number, new.lessons_completed, new.total_lessons, new.started_at, new.last_accessed_at,
              coalesce(old.milestone, milestone_of(old.lessons_completed, old.total_lessons)) as milestone_before,
              new.milestone as milestone_after, new.reset_at, new.course_version
),
-- Rule 7. The rows that became complete, or are complete no longer.
transitions as (
    select case when completed_after is null then 'CourseCompletionRevoked' else 'CourseCompleted' end as type,
           user_id, course_id, completed_before, completed_after, completion_number, lessons_completed, total_lessons,
           cause, started_at, coalesce(completed_after, last_accessed_at) as occurred_at,
           ($2::text[])[source] as source_topic, ($3::integer[])[source] as source_partition
    from progress_written
    where (completed_before is null) <> (completed_after is null)
),
events_announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select m.id, 'course', user_id, m.type, m.payload, last_accessed_at, ($2::text[])[source], ($3::integer[])[source]
    from progress_written
    cross join lateral milestone_events(user_id, course_id, milestone_before, milestone_after, reset_at,
                                        lessons_completed, total_lessons, course_version, cause, last_accessed_at) m
    where milestone_after > milestone_before and $27
    union all
    select course_event_id(type, user_id, course_id, completion_number, occurred_at), 'course', user_id, type,
           course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons,
                                started_at, occurred_at, 0, null, cause),
           occurred_at, source_topic, source_partition
    from transitions
    returning 1
)
select won, (select epoch from known) as epoch,
       (select coalesce(array_agg(batch_row), '{}') from progress_after where to_judge) as to_judge,
       (select coalesce(array_agg((topic, partition, found)), '{}') from offsets
        where found is distinct from expected) as found_elsewhere,
       (select count(*) from events_announced) as announced
from swap;
