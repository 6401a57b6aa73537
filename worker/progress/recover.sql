-- Announces once more what progress rows say, after PostgreSQL has lost commits and their events were applied again.
--
-- Subscribers may have heard of transitions that were lost. So each row gets a completion_number higher than any that
-- can have been lost, and a course event under a new id. Runs after apply.sql, in the same transaction.
--
-- Reads and writes course_progress_all; inserts into outbox.
-- $1-$5  per progress row: user, course, how much higher a lost number can be than the stored one, topic and partition
--        whose worker publishes it
--
-- Returns how many events it inserted into the outbox.
with
recovered as (
    update course_progress_all p
    set completion_number = least(p.completion_number + r.number_gap + 1, 2147483647), updated_at = now()
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::integer[])
             as r (user_id, course_id, number_gap, topic, partition)
    where p.user_id = r.user_id and p.course_id = r.course_id
    returning p.*, r.topic as source_topic, r.partition as source_partition,
              case when p.completed_at is null then 'CourseCompletionRevoked' else 'CourseCompleted' end as type,
              coalesce(p.completed_at, p.last_accessed_at, p.reset_at) as occurred_at
),
events_announced as (
    insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
    select course_event_id(type, user_id, course_id, completion_number, occurred_at), 'course', user_id, type,
           course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons,
                                started_at, occurred_at, course_version,
                                (select v.title from course_version v
                                 where v.course_id = w.course_id and v.version = w.course_version), 'recovered'),
           occurred_at, source_topic, source_partition
    from recovered w
    returning 1
)
select count(*) from events_announced
