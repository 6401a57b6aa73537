-- Recounts progress rows from their lesson rows, and by the versions of their courses.
--
-- Reads the rows with $1 < id <= $2, only those of course $3, only those written since $4 (null: all). No difference is
-- false while workers write, because a worker changes a progress row and its lesson rows in one transaction, and one
-- statement sees one snapshot. What depends on the order of arrival (docs/rules.md) stays as it is found while it is
-- within its bounds. A row that waits for the recount of a new version is not compared with any.
-- Returns a row per progress row that is not what its lesson rows say: each figure as it is (found_...) and as it must
-- be, and announce, the type of the course event of the transition, if it is one.
with
judged as materialized (
    select j.*
    from (select array_agg(user_id) as users, array_agg(course_id) as courses from course_progress_all
          where id > $1 and id <= $2 and course_id in (select course_id from course_version)) r
    cross join lateral judge_progress(r.users, r.courses) j
)
select p.id, p.user_id, p.course_id, lesson.before_reset as lessons_before_reset,
       p.lessons_completed as found_lessons_completed, counted.lessons_completed,
       p.total_lessons as found_total_lessons, counted.total_lessons,
       p.course_version as found_course_version, counted.course_version,
       p.lessons_waived as found_lessons_waived, counted.lessons_waived,
       p.judged_by as found_judged_by, counted.judged_by,
       p.last_accessed_at as found_last_accessed_at, accessed.last_accessed_at,
       p.started_at as found_started_at, begun.started_at,
       p.completed_at as found_completed_at, finished.completed_at,
       p.completion_number as found_completion_number, numbered.completion_number,
       -- A complete row without a number: its first completion is announced, perhaps for the second time.
       case when complete and numbered.completion_number <> p.completion_number then 'CourseCompleted'
            when not complete and p.completed_at is not null and p.completion_number > 0 then 'CourseCompletionRevoked'
       end as announce
from course_progress_all p
cross join lateral (select coalesce(p.reset_at, '-infinity') as since) reset
cross join lateral (
    select count(*) filter (where completed and counts)::integer as completed,
           count(*) filter (where completed and not counts)::integer as before_reset,
           max(changed_at) filter (where counts) as latest,
           min(dated) filter (where counts) as earliest,
           array_agg(dated order by dated) filter (where completed and counts) as dates
    from (
        select l.completed, l.changed_at, l.changed_at > since as counts,
               case when l.completed_at > since and l.completed_at < l.changed_at
                    then l.completed_at else l.changed_at end as dated
        from lesson_progress l
        where l.user_id = p.user_id and l.course_id = p.course_id
        offset 0 -- a fence: the few rows are looked up by index, the table is never scanned
    ) l
) lesson
left join judged j
    on j.id = p.id
    and (j.judged_by = p.judged_by
         or not exists (select from course_recount r where r.course_id = p.course_id and r.finished_at is null))
-- Rules 2 and 4, or 8 to 11. What waits for a recount is as it is found.
cross join lateral (
    select case when p.judged_by = 0 and j.id is null then lesson.completed
                else coalesce(j.lessons_completed, p.lessons_completed) end as lessons_completed,
           coalesce(j.judged_by, p.judged_by) as judged_by,
           coalesce(j.total_lessons, p.total_lessons) as total_lessons,
           coalesce(j.course_version, p.course_version) as course_version,
           coalesce(j.lessons_waived, p.lessons_waived) as lessons_waived
) counted
cross join lateral (select coalesce(counted.lessons_completed >= counted.total_lessons, false) as complete) rule_4
-- Rule 5.
cross join lateral (
    select greatest(case when p.last_accessed_at > since then p.last_accessed_at end, lesson.latest) as last_accessed_at
) accessed
-- With a reset the earliest lesson may be earlier than the earliest event that certainly counts.
cross join lateral (
    select least(case when p.started_at > since then p.started_at end,
                 case when p.reset_at is null or (p.started_at > since) is not true then lesson.earliest end,
                 accessed.last_accessed_at) as started_at
) started
-- Rule 4.
cross join lateral (
    select case when not complete then null
                when counted.judged_by > 0 then coalesce(j.completed_at, p.completed_at)
                when p.completed_at > since and p.completed_at <= accessed.last_accessed_at
                     and (p.reset_at is not null or p.completed_at >= started.started_at) then p.completed_at
                else lesson.dates[p.total_lessons] end as completed_at
) finished
-- A row begins no later than it is completed.
cross join lateral (select least(started.started_at, finished.completed_at) as started_at) begun
-- Rule 7.
cross join lateral (
    select greatest(p.completion_number + (complete and p.completed_at is null)::integer, complete::integer)
               as completion_number
) numbered
where p.id > $1 and p.id <= $2 and ($3::uuid is null or p.course_id = $3)
  and ($4::timestamptz is null or p.updated_at >= $4)
  and (lesson.before_reset > 0
       or (p.lessons_completed, p.total_lessons, p.course_version, p.lessons_waived, p.judged_by, p.last_accessed_at,
           p.started_at, p.completed_at, p.completion_number)
           is distinct from (counted.lessons_completed, counted.total_lessons, counted.course_version,
                             counted.lessons_waived, counted.judged_by, accessed.last_accessed_at, begun.started_at, finished.completed_at,
                             numbered.completion_number))
order by p.id
