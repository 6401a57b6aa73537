-- Merges what course events say of completions into announced_completion. $1 users, $2 courses, $3 completion numbers;
-- of a CourseCompleted: $4 course versions, $5 titles, $6 completed_at; of a CourseCompletionRevoked: $7 revoked_at,
-- $8 causes. The rest is null. Of several that tell of the same the earliest holds, whatever the order they come in.
with
facts as materialized (
    select *
    from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::text[])
             as f (user_id, course_id, completion_number, course_version, title, completed_at, revoked_at, cause)
),
completed as (
    select distinct on (user_id, course_id, completion_number)
           user_id, course_id, completion_number, course_version, title, completed_at
    from facts
    where completed_at is not null
    order by user_id, course_id, completion_number, completed_at, course_version, coalesce(title, '')
),
revoked as (
    select distinct on (user_id, course_id, completion_number)
           user_id, course_id, completion_number, revoked_at, cause
    from facts
    where revoked_at is not null
    order by user_id, course_id, completion_number, revoked_at, cause
)
insert into announced_completion as a (
    user_id, course_id, completion_number, course_version, title, completed_at, revoked_at, revoked_cause)
select user_id, course_id, completion_number, course_version, title, completed_at, revoked_at, cause
from completed
full join revoked using (user_id, course_id, completion_number)
order by user_id, course_id, completion_number -- callers lock in one order, so that they do not deadlock
on conflict (user_id, course_id, completion_number) do update
set (course_version, title, completed_at) = (
        select case when earlier then excluded.course_version else a.course_version end,
               case when earlier then excluded.title else a.title end,
               case when earlier then excluded.completed_at else a.completed_at end
        from (select excluded.completed_at is not null and (
                  a.completed_at is null
                  or (excluded.completed_at, excluded.course_version, coalesce(excluded.title, ''))
                      < (a.completed_at, a.course_version, coalesce(a.title, ''))) as earlier) e),
    (revoked_at, revoked_cause) = (
        select case when earlier then excluded.revoked_at else a.revoked_at end,
               case when earlier then excluded.revoked_cause else a.revoked_cause end
        from (select excluded.revoked_at is not null and (
                  a.revoked_at is null
                  or (excluded.revoked_at, excluded.revoked_cause) < (a.revoked_at, a.revoked_cause)) as earlier) e)
