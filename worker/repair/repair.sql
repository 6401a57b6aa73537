-- Makes progress row $1 what recount.sql says it must be ($2-$6), and announces the transition $7, if it is one, through
-- the outbox of partition $8, $9: the same announcement as in apply.sql.
with repaired as (
    update course_progress_all
    set lessons_completed = $2, last_accessed_at = $3, started_at = $4, completed_at = $5, completion_number = $6,
        updated_at = now()
    where id = $1
    returning *, case $7::text
        when 'CourseCompleted' then $5::timestamptz
        when 'CourseCompletionRevoked' then coalesce($3::timestamptz, reset_at)
    end as occurred_at
)
insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
select course_event_id($7, user_id, course_id, completion_number), 'course', user_id, $7,
       jsonb_build_object('user_id', user_id, 'course_id', course_id, 'completion_number', completion_number,
                          'lessons_completed', lessons_completed, 'total_lessons', total_lessons)
       || case $7 when 'CourseCompleted'
               then jsonb_build_object('completed_at', completed_at, 'started_at', started_at)
               else jsonb_build_object('revoked_at', occurred_at) end,
       occurred_at, $8, $9
from repaired
where $7 is not null
