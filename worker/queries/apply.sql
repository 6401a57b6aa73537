-- One folded batch in one statement: all of it, or nothing.
--
-- Promises: rows change only if every partition's stored offset is the one this worker last saw, and the offsets
-- move with them. Applying an event again, late or in another order ends in the same lessons and counts (rules 1-6).
--
-- Needs REPEATABLE READ: a row that another worker changed meanwhile raises 40001, a row that it inserted 23505, and
-- the batch is repeated; so what is read here is what is updated here.
--
-- $1 consumer group; $2-$5 a row per partition; $6-$14 a row per progress row; $15-$19 a row per lesson row.
-- Returns one row: won, the offsets found where they differ, and how many transitions went to the outbox.
with
stored as materialized (
    select o.*, c.next_offset as found
    from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[])
             with ordinality as o (topic, partition, expected, next, source)
    left join consumed_offset c
        on c.consumer_group = $1 and c.topic = o.topic and c.partition = o.partition
),
guard as materialized (
    select coalesce(bool_and(found is not distinct from expected), true) as won from stored
),
moved as (
    merge into consumed_offset c
    using (select s.* from stored s cross join guard where won) s
        on c.consumer_group = $1 and c.topic = s.topic and c.partition = s.partition
    when matched then update set next_offset = s.next, moved_at = now()
    when not matched then insert (consumer_group, topic, partition, next_offset)
        values ($1, s.topic, s.partition, s.next)
),
-- The batch beside the rows as they are. Events up to a reset do not count (rule 6).
course as materialized (
    select g.course, g.user_id, g.course_id, g.source, p.id, p.completed_at, p.completion_number,
           coalesce(p.reset_at, '-infinity') as counts_after,
           coalesce(p.lessons_completed, 0) as lessons_completed,
           p.total_lessons, p.total_at, p.last_lesson_id, p.last_lesson_at,
           g.total_lessons as new_total, g.total_at as new_total_at,
           g.last_lesson_id as new_lesson_id, g.last_lesson_at as new_lesson_at,
           greatest(p.last_accessed_at, g.last_accessed_at) as last_accessed_at,
           -- Of events on both sides of a reset in one batch only the latest time is certain to count.
           least(p.started_at, case when g.started_at > coalesce(p.reset_at, '-infinity')
                                    then g.started_at else g.last_accessed_at end) as started_at
    from unnest($6::uuid[], $7::uuid[], $8::integer[], $9::timestamptz[], $10::timestamptz[],
                $11::integer[], $12::timestamptz[], $13::text[], $14::timestamptz[])
             with ordinality as g (user_id, course_id, source, started_at, last_accessed_at,
                                   total_lessons, total_at, last_lesson_id, last_lesson_at, course)
    cross join guard
    left join course_progress_all p on p.user_id = g.user_id and p.course_id = g.course_id
    where won and g.last_accessed_at > coalesce(p.reset_at, '-infinity')
),
-- Rule 1. Both sides know their first and last completion since their last un-completion; together: the later
-- un-completion counts, and of the completions the first that it does not precede.
lesson as (
    merge into lesson_progress l
    using (
        select c.course, c.user_id, c.course_id, g.lesson_id, g.uncompleted_at, g.last_completed_at,
               case when g.first_completed_at > c.counts_after
                    then g.first_completed_at else g.last_completed_at end as first_completed_at
        from unnest($15::integer[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[])
                 as g (course, lesson_id, first_completed_at, last_completed_at, uncompleted_at)
        join course c on c.course = g.course
        where greatest(g.last_completed_at, g.uncompleted_at) > c.counts_after
    ) g
        on l.user_id = g.user_id and l.course_id = g.course_id and l.lesson_id = g.lesson_id
    when matched and (
        greatest(g.last_completed_at, g.uncompleted_at) > l.changed_at
        or g.uncompleted_at > coalesce(l.uncompleted_at, '-infinity')
        or g.first_completed_at < l.completed_at
        or (g.last_completed_at = l.changed_at and not l.completed)
    ) then update set (completed, changed_at, completed_at, uncompleted_at) = (
        select last >= cut,
               greatest(last, nullif(cut, '-infinity')),
               case when last >= cut
                    then least(case when l.completed_at >= cut then l.completed_at end,
                               case when g.first_completed_at >= cut then g.first_completed_at end,
                               last)
               end,
               nullif(cut, '-infinity')
        from (select coalesce(greatest(l.uncompleted_at, g.uncompleted_at), '-infinity') as cut,
                     coalesce(greatest(case when l.completed then l.changed_at end, g.last_completed_at),
                              '-infinity') as last) as both_sides)
    when not matched then insert (user_id, course_id, lesson_id, completed, changed_at, completed_at, uncompleted_at)
        values (g.user_id, g.course_id, g.lesson_id,
                coalesce(g.last_completed_at >= coalesce(g.uncompleted_at, '-infinity'), false),
                greatest(g.last_completed_at, g.uncompleted_at),
                case when g.last_completed_at >= coalesce(g.uncompleted_at, '-infinity') then g.first_completed_at end,
                g.uncompleted_at)
    returning g.course, g.lesson_id, new.completed, new.completed_at,
              new.completed::integer - coalesce(old.completed, false)::integer as change
),
-- Rules 2, 4 and 5: what each progress row becomes.
next as materialized (
    select n.*, coalesce(lessons_completed >= total_lessons, false) and completed_at is null as completes,
           not coalesce(lessons_completed >= total_lessons, false) and completed_at is not null as reopens
    from (
        select c.course, c.user_id, c.course_id, c.source, c.id, c.completed_at, c.started_at, c.last_accessed_at,
               coalesce(c.completion_number, 0) as completion_number,
               c.lessons_completed + coalesce(d.change, 0) as lessons_completed,
               case when newer_total then new_total else total_lessons end as total_lessons,
               case when newer_total then new_total_at else total_at end as total_at,
               case when newer_lesson then new_lesson_id else last_lesson_id end as last_lesson_id,
               case when newer_lesson then new_lesson_at else last_lesson_at end as last_lesson_at
        from course c
        cross join lateral (select
            new_total_at > counts_after
                and coalesce((new_total_at, new_total) > (total_at, total_lessons), true) as newer_total,
            new_lesson_at > counts_after
                and coalesce((new_lesson_at, new_lesson_id) > (last_lesson_at, last_lesson_id), true) as newer_lesson)
        left join (select course, sum(change)::integer as change from lesson group by course) d using (course)
    ) n
),
-- Rule 4: a course is complete since the completion that made up its total, whichever arrived last.
finished as (
    select course, completed_at
    from (
        select n.course, n.total_lessons, done.completed_at,
               row_number() over (partition by n.course order by done.completed_at) as nth
        from next n
        join (
            select course, completed_at from lesson where completed
            union all
            select n.course, l.completed_at
            from next n
            cross join lateral (
                select lesson_id, completed_at from lesson_progress l
                where l.user_id = n.user_id and l.course_id = n.course_id and l.completed
                offset 0 -- a fence: look the few rows up by index, never scan the table
            ) l
            where n.completes
              and not exists (select from lesson b where b.course = n.course and b.lesson_id = l.lesson_id)
        ) done using (course)
        where n.completes
    ) ranked
    where nth = total_lessons
),
target as materialized (
    select n.course, n.user_id, n.course_id, n.source, n.id, n.lessons_completed, n.total_lessons, n.total_at,
           n.last_lesson_id, n.last_lesson_at, n.started_at, n.last_accessed_at, n.completes, n.reopens,
           n.completion_number + n.completes::integer as completion_number,
           case when n.completes then f.completed_at when not n.reopens then n.completed_at end as completed_at
    from next n
    left join finished f using (course)
),
written as (
    merge into course_progress_all p
    using target n on p.id = n.id
    when matched and (p.lessons_completed, p.total_lessons, p.total_at, p.last_lesson_id, p.last_lesson_at,
                      p.started_at, p.last_accessed_at, p.completed_at)
        is distinct from (n.lessons_completed, n.total_lessons, n.total_at, n.last_lesson_id, n.last_lesson_at,
                          n.started_at, n.last_accessed_at, n.completed_at)
    then update set
        lessons_completed = n.lessons_completed, total_lessons = n.total_lessons, total_at = n.total_at,
        last_lesson_id = n.last_lesson_id, last_lesson_at = n.last_lesson_at, started_at = n.started_at,
        last_accessed_at = n.last_accessed_at, completed_at = n.completed_at,
        completion_number = n.completion_number, updated_at = now()
    when not matched then insert (user_id, course_id, lessons_completed, total_lessons, total_at, last_lesson_id,
                                  last_lesson_at, started_at, last_accessed_at, completed_at, completion_number)
        values (n.user_id, n.course_id, n.lessons_completed, n.total_lessons, n.total_at, n.last_lesson_id,
                n.last_lesson_at, n.started_at, n.last_accessed_at, n.completed_at, n.completion_number)
),
-- Rule 7.
announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select course_event_id(e.type, n.user_id, n.course_id, n.completion_number), 'course', n.user_id, e.type,
           e.payload, e.occurred_at, s.topic, s.partition
    from target n
    join stored s using (source)
    cross join lateral (
        select 'CourseCompleted' as type, n.completed_at as occurred_at, jsonb_build_object(
            'user_id', n.user_id, 'course_id', n.course_id, 'completed_at', n.completed_at,
            'completion_number', n.completion_number, 'lessons_completed', n.lessons_completed,
            'total_lessons', n.total_lessons, 'started_at', n.started_at) as payload
        where n.completes
        union all
        select 'CourseCompletionRevoked', n.last_accessed_at, jsonb_build_object(
            'user_id', n.user_id, 'course_id', n.course_id, 'revoked_at', n.last_accessed_at,
            'completion_number', n.completion_number, 'lessons_completed', n.lessons_completed,
            'total_lessons', n.total_lessons)
        where n.reopens
    ) e
    returning 1
)
select won,
       (select coalesce(array_agg((topic, partition, found)), '{}') from stored
        where found is distinct from expected) as found_elsewhere,
       (select count(*) from announced) as transitions
from guard;
