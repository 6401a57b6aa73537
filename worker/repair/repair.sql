-- Makes one progress row what recount.sql says it must be, and announces the transition, if it is one.
--
-- Reads and writes course_progress_all; inserts into outbox what apply.sql would insert for the same transition.
-- $1 id of the row; $2-$6 its lessons_completed, last_accessed_at, started_at, completed_at and completion_number;
-- $7-$10 its total_lessons, course_version, lessons_waived and judged_by; $11 the type of the event that announces the
-- transition (null: there is none); $12, $13 topic and partition whose worker publishes it; $14 whether milestones that
-- the row reaches now are announced (rule 17). Returns no row.
with repaired as (
    update course_progress_all
    set lessons_completed = $2, last_accessed_at = $3, started_at = $4, completed_at = $5, completion_number = $6,
        total_lessons = $7, course_version = $8, lessons_waived = $9, judged_by = $10, updated_at = now(),
        milestone = greatest(coalesce(milestone, milestone_of(lessons_completed, total_lessons)), milestone_of($2, $7))
    where id = $1
    returning new.*, coalesce(old.milestone, milestone_of(old.lessons_completed, old.total_lessons)) as milestone_before,
        case $11::text
        when 'CourseCompleted' then $5::timestamptz
        when 'CourseCompletionRevoked' then coalesce($3::timestamptz, reset_at)
    end as occurred_at
)
insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
select m.id, 'course', user_id, m.type, m.payload, last_accessed_at, $12::text, $13::integer
from repaired
cross join lateral milestone_events(user_id, course_id, milestone_before, milestone, reset_at, lessons_completed,
                                    total_lessons, course_version, 'repaired', last_accessed_at) m
where milestone > milestone_before and $14
union all
select course_event_id($11, user_id, course_id, completion_number, occurred_at), 'course', user_id, $11,
       course_event_payload($11, user_id, course_id, completion_number, lessons_completed, total_lessons, started_at,
                            occurred_at, course_version,
                            (select v.title from course_version v
                             where v.course_id = w.course_id and v.version = w.course_version), 'repaired'),
       occurred_at, $12, $13
from repaired w
where $11 is not null
