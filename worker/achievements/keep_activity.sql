-- Keeps when learners completed lessons, and what they completed: only adds, so repeated events in any order leave the
-- same. $1-$3 users, days and offsets from UTC in minutes; $4, $5 users and instants without an offset; $6-$9 users,
-- courses, lessons and when each was completed. $10, $11 badges and how many lessons each asks for.
--
-- Returns the users whose badges are to be looked at, each once: of a new day, or with enough lessons for a badge that
-- they do not have.
with
days as (
    insert into active_day (user_id, day, utc_offset)
    select * from unnest($1::uuid[], $2::date[], $3::smallint[]) as d (user_id, day, utc_offset)
    order by user_id, day, utc_offset -- callers lock in one order, so that they do not deadlock
    on conflict do nothing
    returning user_id
),
instants as (
    insert into active_instant (user_id, at)
    select * from unnest($4::uuid[], $5::timestamptz[]) as i (user_id, at)
    order by user_id, at
    on conflict do nothing
    returning user_id
),
lessons as (
    insert into studied_lesson as s (user_id, course_id, lesson_id, completed_at)
    select * from unnest($6::uuid[], $7::uuid[], $8::text[], $9::timestamptz[])
                      as l (user_id, course_id, lesson_id, completed_at)
    order by user_id, course_id, lesson_id collate "C"
    on conflict (user_id, course_id, lesson_id) do update
    set completed_at = excluded.completed_at
    where excluded.completed_at < s.completed_at
    returning new.user_id, old.user_id is null as is_new
),
counted as (
    select user_id, before + added as lessons
    from (select user_id, count(*) as added from lessons where is_new group by user_id) n
    -- What this statement inserts is not seen here.
    cross join lateral (
        select count(*) as before
        from (select from studied_lesson s where s.user_id = n.user_id
              limit (select max(t) from unnest($11::integer[]) as t)) known
    ) b
)
select user_id from days
union
select user_id from instants
union
select user_id from counted c
where exists (
    select from unnest($10::text[], $11::integer[]) as b (badge, lessons)
    where c.lessons >= b.lessons
      and not exists (select from badge_award a where a.user_id = c.user_id and a.badge = b.badge))
