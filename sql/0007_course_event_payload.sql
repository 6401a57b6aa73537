-- One function builds the payload of both course events, and comments in the system catalog explain the tables.

-- migrate:up

-- The data of a CourseCompleted or a CourseCompletionRevoked (events/models.py), after the transition. `occurred_at` is
-- the CloudEvent's time: when the course was completed, or when its completion was revoked. Any other type gives null,
-- which the outbox refuses. The planner puts the body in place of the call, because it is one expression; so nothing is
-- computed for a row without a transition. Not immutable, because jsonb writes times in the session's time zone.
create function course_event_payload(
    type text, user_id uuid, course_id uuid, completion_number integer, lessons_completed integer,
    total_lessons integer, started_at timestamptz, occurred_at timestamptz
) returns jsonb
language sql stable parallel safe
return jsonb_build_object('user_id', user_id, 'course_id', course_id, 'completion_number', completion_number,
                          'lessons_completed', lessons_completed, 'total_lessons', total_lessons)
    || case type
           when 'CourseCompleted' then jsonb_build_object('started_at', started_at, 'completed_at', occurred_at)
           when 'CourseCompletionRevoked' then jsonb_build_object('revoked_at', occurred_at)
       end;
alter function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz)
    owner to course_progress_owner;
revoke all on function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz)
    from public;
grant execute on function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz)
    to course_progress_worker;

-- Shown by docs/schema.sql and by psql's \d+. A migration that adds a table or a column comments on it.
comment on function uuid_v5 is
    'The UUIDv5 (RFC 9562) of a name in a namespace, the same as Python''s uuid.uuid5. Takes about 0.13 ms.';
comment on function course_event_id is
    'The id under which a course event is published, always the same one: events.course_event_id in SQL.';
comment on function course_event_payload is
    'The data of a CourseCompleted or CourseCompletionRevoked. Null for any other type.';
comment on function completed_lessons is
    'A JSON array of lesson ids in the order they were completed: select cp.completed_lessons from course_progress cp.';

comment on table lesson_progress is
    'One row: the latest known state of one lesson for one user (rule 1 of docs/rules.md).';
comment on column lesson_progress.changed_at is 'occurred_at of the event that decided `completed`';
comment on column lesson_progress.completed_at is
    'the first completion since the last un-completion; null while not completed';
comment on column lesson_progress.uncompleted_at is 'the last un-completion: it interrupts earlier completions';

comment on table course_progress_all is
    'One row: one user in one course, also after a reset that no event followed (rule 6). Readers use course_progress.';
comment on column course_progress_all.total_at is 'occurred_at of the event that carried total_lessons (rule 2)';
comment on column course_progress_all.last_lesson_at is 'occurred_at of the event that named last_lesson_id (rule 5)';
comment on column course_progress_all.last_accessed_at is
    'the latest event of any kind (rule 5); null: reset, and no event has come since';
comment on column course_progress_all.started_at is 'the earliest event that counts';
comment on column course_progress_all.completed_at is 'rule 4; null while the course is not complete';
comment on column course_progress_all.reset_at is 'no event up to here counts (rule 6)';
comment on column course_progress_all.total_lessons is 'null: not known yet';
comment on column course_progress_all.completion_number is 'how many times the course was completed (rule 7)';
comment on column course_progress_all.progress_percentage is
    'rounded to the nearest whole number; 100 exactly when complete (rule 3)';

comment on view course_progress is
    'The rows that readers see: a row that was reset is absent until a later event arrives (rule 6).';

comment on table consumed_offset is
    'The stored offset of each partition: the tables reflect every record before it. It moves in the transaction that '
    'writes them, so it is the truth; the offset committed to Kafka only serves tools that show lag.';
comment on column consumed_offset.next_offset is 'every record before it is applied';

comment on table known_topic is
    'The topic that the stored offsets belong to: one that was deleted and created again has the same name and another '
    'id.';
comment on column known_topic.topic_id is 'Kafka''s id of the topic whose offsets consumed_offset counts';

comment on table outbox is
    'Course events that are not yet published, inserted with the rows that they are about. The relay deletes a row '
    'when Kafka has acknowledged its event. Debezium''s outbox event router reads the same columns.';
comment on column outbox.id is 'the CloudEvent''s id';
comment on column outbox.aggregatetype is 'always ''course''';
comment on column outbox.aggregateid is 'the record''s key: the user';
comment on column outbox.type is 'the CloudEvent''s type';
comment on column outbox.payload is 'the CloudEvent''s data';
comment on column outbox.occurred_at is 'the CloudEvent''s time';
comment on column outbox.source_topic is
    'topic and partition of the events that caused it: the worker of that partition publishes it, in order per user';
comment on column outbox.created_at is 'when it was inserted; for the metric of the outbox''s age alone';

comment on table worker_status is
    'The status that each worker reports, for the operations page. A worker writes its row every two seconds, with or '
    'without work; a clean stop deletes it. No rule uses it.';
comment on column worker_status.worker is 'its name, also Kafka''s client id of the group''s member';
comment on column worker_status.partitions is 'the partitions of lesson-events that it reads now';
comment on column worker_status.events_per_s is 'settled in the last seconds';
comment on column worker_status.busy is 'the share of these seconds in which it worked: 0 to 1';
comment on column worker_status.capacity_per_s is
    'events per second of work in large batches; null: it has had none yet';
comment on column worker_status.visible_p50_s is
    'from a record''s timestamp to its commit, in the last minute; null: no events';
comment on column worker_status.dead_letters is 'since it started';
comment on column worker_status.breaker is 'why its breaker is open; null: it is closed';
comment on column worker_status.waiting_for is 'why it waits; null: it does not';
-- migrate:down
