-- Reads where user $1 stands in those of the courses $2 that have a version, by the newest one.
--
-- Returns a row per course; where none has a version, one row without a course, because as_of is always returned: the
-- database's clock, and what was committed before it is in the rows. version, title, needed; begun, whether the user has
-- progress there; held, the version of the progress row (0: none), and its completed_at; met, the lessons of the newest
-- version that are met, required or not (rule 8), in no order.
with newest as materialized (
    select distinct on (course_id) course_id, version, title, needed
    from course_version
    where course_id = any($2)
    order by course_id, version desc
),
standing as materialized (
    select n.*, p.user_id, p.course_version, p.completed_at, coalesce(p.reset_at, '-infinity') as counts_after
    from newest n
    left join course_progress p on p.user_id = $1 and p.course_id = n.course_id
),
lessons_done as materialized (
    select s.course_id, s.version, done.lesson_id
    from standing s
    cross join lateral (
        select l.lesson_id from lesson_progress l
        where l.user_id = s.user_id and l.course_id = s.course_id and l.completed and l.changed_at > s.counts_after
        union all
        select w.lesson_id from lesson_waiver w
        where w.user_id = s.user_id and w.course_id = s.course_id
          and (select max(t) from unnest(w.waived_at) t where t > s.counts_after) >= coalesce(w.withdrawn_at, '-infinity')
        offset 0 -- a fence: looked up by the key
    ) done
),
replacements as materialized (
    select r.*
    from newest n
    cross join lateral (
        select course_id, lesson_id, replaced_id from course_replacement c where c.course_id = n.course_id
        offset 0 -- a fence, as above: not the replacements of all courses
    ) r
),
lessons_met as materialized (
    select course_id, version, lesson_id from lessons_done
    union
    select d.course_id, d.version, r.lesson_id
    from lessons_done d
    join replacements r on r.course_id = d.course_id and r.replaced_id = d.lesson_id
),
met as materialized (
    select m.course_id, array_agg(m.lesson_id) as lessons
    from lessons_met m
    where exists (
        select from course_lesson l
        where l.course_id = m.course_id and l.version = m.version and l.lesson_id = m.lesson_id)
    group by m.course_id
)
select now() as as_of, s.course_id, s.version, s.title, s.needed, s.user_id is not null as begun,
       coalesce(s.course_version, 0) as held, s.completed_at, coalesce(met.lessons, '{}') as met
from (select) always
left join standing s on true
left join met on met.course_id = s.course_id
