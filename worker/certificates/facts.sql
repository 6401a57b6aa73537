-- Reads what workers have announced of users $1 in courses $2, pair by pair, and the completion of a progress row that
-- is older than the table of transitions. Returns user_id, course_id, number, version, title, completed_at, revoked_at,
-- cause, as course events say it.
with
cases as (select * from unnest($1::uuid[], $2::uuid[]) as c (user_id, course_id)),
told as (
    select t.user_id, t.course_id, t.completion_number, t.type, t.course_version, t.occurred_at, t.cause
    from cases
    join transition t using (user_id, course_id)
    union all
    select p.user_id, p.course_id, p.completion_number, 'CourseCompleted', p.course_version, p.completed_at, null
    from cases
    join course_progress p using (user_id, course_id)
    where p.completed_at is not null
      and not exists (
          select from transition t
          where t.user_id = p.user_id and t.course_id = p.course_id and t.completion_number = p.completion_number
            and t.type = 'CourseCompleted')
)
select t.user_id, t.course_id, t.completion_number,
       case when completed then t.course_version end, case when completed then v.title end,
       case when completed then t.occurred_at end,
       case when not completed then t.occurred_at end, case when not completed then t.cause end
from told t
cross join lateral (select t.type = 'CourseCompleted' as completed) c
left join course_version v on v.course_id = t.course_id and v.version = t.course_version
