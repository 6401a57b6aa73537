-- One folded batch in one statement: all of it, or nothing.
--
-- Promises: rows change only if every partition's stored offset is the one this worker last saw, and the offsets
-- move with them. Applying an event again, late or in another order ends in the same lessons and counts (rules 1-6).
--
-- One plan serves every batch, so no step may depend on an estimate: docs/decisions/0017.
--
-- Needs REPEATABLE READ: a row that another worker changed meanwhile raises 40001, a row that it inserted 23505, and
-- the batch is repeated; so what is read here is what is updated here.
--
-- $1 consumer group; $2-$5 a row per partition; $6-$14 a row per progress row; $15-$19 a row per lesson row.
-- A time left out ($9, $12, $14) is the row's last_accessed_at; of a lesson ($17), its last_completed_at.
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
-- The batch beside the rows as they are. Events up to a reset do not count (rule 6). The latest total (rule 2), the last
-- lesson and the last access (rule 5).
course as materialized (
    select g.course, g.user_id, g.course_id, g.source, p.at, p.completed_at, counts_after,
           coalesce(p.completion_number, 0) as completion_number,
           coalesce(p.lessons_completed, 0) as lessons_completed,
           case when newer_total then g.total_lessons else p.total_lessons end as total_lessons,
           case when newer_total then new_total_at else p.total_at end as total_at,
           case when newer_lesson then g.last_lesson_id else p.last_lesson_id end as last_lesson_id,
           case when newer_lesson then new_lesson_at else p.last_lesson_at end as last_lesson_at,
           greatest(p.last_accessed_at, g.last_accessed_at) as last_accessed_at,
           -- Of events on both sides of a reset in one batch only the latest time is certain to count.
           least(p.started_at, case when g.started_at > counts_after
                                    then g.started_at else g.last_accessed_at end) as started_at
    from unnest($6::uuid[], $7::uuid[], $8::integer[], $9::timestamptz[], $10::timestamptz[],
                $11::integer[], $12::timestamptz[], $13::text[], $14::timestamptz[])
             with ordinality as g (user_id, course_id, source, started_at, last_accessed_at,
                                   total_lessons, total_at, last_lesson_id, last_lesson_at, course)
    cross join guard
    left join lateral (
        select a.ctid as at, a.* from course_progress_all a
        where a.user_id = g.user_id and a.course_id = g.course_id
        offset 0 -- a fence: looked up by the whole key, whatever the planner takes the table for (0017)
    ) p on true
    cross join lateral (select
        coalesce(p.reset_at, '-infinity') as counts_after,
        case when g.total_lessons is not null then coalesce(g.total_at, g.last_accessed_at) end as new_total_at,
        case when g.last_lesson_id is not null then coalesce(g.last_lesson_at, g.last_accessed_at) end as new_lesson_at)
    cross join lateral (select
        new_total_at > counts_after
            and coalesce((new_total_at, g.total_lessons) > (p.total_at, p.total_lessons), true) as newer_total,
        new_lesson_at > counts_after
            and coalesce((new_lesson_at, g.last_lesson_id) > (p.last_lesson_at, p.last_lesson_id), true)
            as newer_lesson)
    where won and g.last_accessed_at > counts_after
),
said as materialized (
    select c.course, c.total_lessons, c.user_id, c.course_id, g.lesson_id, l.at, g.uncompleted_at, g.last_completed_at,
           case when g.first_completed_at > c.counts_after
                then g.first_completed_at else g.last_completed_at end as first_completed_at
    from unnest($15::integer[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[])
             as g (course, lesson_id, first_completed_at, last_completed_at, uncompleted_at)
    join course c on c.course = g.course
    left join lateral (
        select ctid as at from lesson_progress b
        where b.user_id = c.user_id and b.course_id = c.course_id and b.lesson_id = g.lesson_id
        offset 0 -- a fence, as above
    ) l on true
    where greatest(g.last_completed_at, g.uncompleted_at) > c.counts_after
),
-- Rule 1. Both sides know their first and last completion since their last un-completion; together: the later
-- un-completion counts, and of the completions the first that it does not precede.
lesson as (
    merge into lesson_progress l
    using said g
        on l.ctid = g.at
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
    returning g.course, g.total_lessons, g.lesson_id, new.completed, new.completed_at,
              new.completed::integer - coalesce(old.completed, false)::integer as change
),
-- Rules 2 and 4: what each progress row becomes.
next as materialized (
    select n.*, enough and completed_at is null as completes, not enough and completed_at is not null as reopens
    from (
        select c.course, c.user_id, c.course_id, c.source, c.at, c.completed_at, c.completion_number, c.started_at,
               c.last_accessed_at, c.total_lessons, c.total_at, c.last_lesson_id, c.last_lesson_at,
               c.lessons_completed + coalesce(d.change, 0) as lessons_completed,
               coalesce(c.lessons_completed + coalesce(d.change, 0) >= c.total_lessons, false) as enough
        from course c
        left join (select course, sum(change)::integer as change from lesson group by course) d using (course)
    ) n
),
-- Rule 4: a course is complete since the completion that made up its total, whichever arrived last.
finished as (
    select course, completed_at
    from (
        select course, total_lessons, completed_at,
               row_number() over (partition by course order by completed_at) as nth
        from (
            -- `in` under a `case`, and `not in`, are looked up in a hash table; a join might be a nested loop.
            select course, total_lessons, completed_at from lesson
            where case when completed then course in (select course from next where completes) end
            union all
            select n.course, n.total_lessons, l.completed_at
            from next n
            cross join lateral (
                select lesson_id, completed_at from lesson_progress l
                where l.user_id = n.user_id and l.course_id = n.course_id and l.completed
                offset 0 -- a fence: look the few rows up by index, never scan the table
            ) l
            where n.completes and (n.course, l.lesson_id) not in (select course, lesson_id from lesson)
        ) done
    ) ranked
    where nth = total_lessons
),
written as (
    merge into course_progress_all p
    using (
        select n.*, n.completion_number + n.completes::integer as number,
               case when n.completes then f.completed_at when not n.reopens then n.completed_at end as completed_since
        from next n
        full join finished f on f.course = n.course -- finds what a left one does, and is never a nested loop
    ) n
        on p.ctid = n.at -- where `course` found it; if somebody changed it since, 40001
    when matched and (p.lessons_completed, p.total_lessons, p.total_at, p.last_lesson_id, p.last_lesson_at,
                      p.started_at, p.last_accessed_at, p.completed_at)
        is distinct from (n.lessons_completed, n.total_lessons, n.total_at, n.last_lesson_id, n.last_lesson_at,
                          n.started_at, n.last_accessed_at, n.completed_since)
    then update set
        lessons_completed = n.lessons_completed, total_lessons = n.total_lessons, total_at = n.total_at,
        last_lesson_id = n.last_lesson_id, last_lesson_at = n.last_lesson_at, started_at = n.started_at,
        last_accessed_at = n.last_accessed_at, completed_at = n.completed_since,
        completion_number = n.number, updated_at = now()
    when not matched then insert (user_id, course_id, lessons_completed, total_lessons, total_at, last_lesson_id,
                                  last_lesson_at, started_at, last_accessed_at, completed_at, completion_number)
        values (n.user_id, n.course_id, n.lessons_completed, n.total_lessons, n.total_at, n.last_lesson_id,
                n.last_lesson_at, n.started_at, n.last_accessed_at, n.completed_since, n.number)
),
-- Rule 7.
announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select course_event_id(e.type, n.user_id, n.course_id, number), 'course', n.user_id, e.type, e.payload,
           e.occurred_at, s.topic, s.partition
    from next n
    join stored s using (source)
    left join finished f using (course)
    cross join lateral (select n.completion_number + n.completes::integer as number)
    cross join lateral (
        select 'CourseCompleted' as type, f.completed_at as occurred_at, jsonb_build_object(
            'user_id', n.user_id, 'course_id', n.course_id, 'completed_at', f.completed_at,
            'completion_number', number, 'lessons_completed', n.lessons_completed,
            'total_lessons', n.total_lessons, 'started_at', n.started_at) as payload
        where n.completes
        union all
        select 'CourseCompletionRevoked', n.last_accessed_at, jsonb_build_object(
            'user_id', n.user_id, 'course_id', n.course_id, 'revoked_at', n.last_accessed_at,
            'completion_number', number, 'lessons_completed', n.lessons_completed,
            'total_lessons', n.total_lessons)
        where n.reopens
    ) e
    where n.completes or n.reopens
    returning 1
)
select won,
       (select coalesce(array_agg((topic, partition, found)), '{}') from stored
        where found is distinct from expected) as found_elsewhere,
       (select count(*) from announced) as transitions
from guard;
