-- The schema that sql/ produces. To be read, not run: `make contract` writes it from a migrated database.
--
-- Everything belongs to the role course_progress_owner. PUBLIC may call none of the functions. Rule numbers are those
-- of docs/rules.md. The bookkeeping of migrations (schema_migrations) is left out.

-- One row: the latest known state of one lesson for one user (rule 1 of docs/rules.md).
create table lesson_progress (
    user_id uuid not null,
    course_id uuid not null,
    changed_at timestamptz not null,   -- occurred_at of the event that decided `completed`
    -- the first completion since the last un-completion; null while not completed
    completed_at timestamptz,
    uncompleted_at timestamptz,        -- the last un-completion: it interrupts earlier completions
    completed boolean not null,
    lesson_id text collate "C" not null,
    -- every time since the last reset at which the lesson was completed, in order, of more than 100 the first and last 50; null: completed_at alone, or also changed_at while it is completed; null, too: never
    completions timestamptz[],
    PRIMARY KEY (user_id, course_id, lesson_id),
    constraint completed_has_its_time CHECK (completed = (completed_at IS NOT NULL))
);
grant delete, insert, select, update on lesson_progress to course_progress_worker;
grant select on lesson_progress to course_progress_reader;
grant select on lesson_progress to course_progress_author;

-- One row: one user in one course, also after a reset that no event followed (rule 6). Readers use course_progress.
create table course_progress_all (
    id bigint not null generated always as identity,
    user_id uuid not null,
    course_id uuid not null,
    total_at timestamptz,              -- occurred_at of the event that carried total_lessons (rule 2)
    last_lesson_at timestamptz,        -- occurred_at of the event that named last_lesson_id (rule 5)
    -- the latest event of any kind (rule 5); null: reset, and no event has come since
    last_accessed_at timestamptz,
    started_at timestamptz,            -- the earliest event that counts
    completed_at timestamptz,          -- rule 4; null while the course is not complete
    reset_at timestamptz,              -- no event up to here counts (rule 6)
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    lessons_completed integer not null default 0,
    total_lessons integer,                          -- null: not known yet
    -- the number of the latest completion (rule 7); a recovery skips numbers, also of a course never completed
    completion_number integer not null default 0,
    last_lesson_id text collate "C",
    -- rounded to the nearest whole number; 100 exactly when complete (rule 3)
    progress_percentage integer generated always as (
        CASE
            WHEN total_lessons IS NULL THEN 0
            WHEN lessons_completed >= total_lessons THEN 100
            ELSE LEAST(99, (200 * lessons_completed + total_lessons) / (2 * total_lessons))
        END) virtual,
    -- the version of the course that the row is complete under, otherwise the newest (rule 11); 0: it has none
    course_version integer not null default 0,
    -- the newest version of the course when the row was judged last; 0: none
    judged_by integer not null default 0,
    -- how many of the required lessons of course_version are waived, completed or not (rule 8)
    lessons_waived integer not null default 0,
    -- how many minutes the clock was ahead of UTC that last_accessed_at was told by
    utc_offset smallint not null default 0,
    -- the highest milestone since the last reset: 0, 25, 50 or 75 (rule 17); null: nothing has changed since there are milestones, and what the row says is not announced any more
    milestone smallint default 0,
    PRIMARY KEY (id),
    UNIQUE (user_id, course_id),
    constraint course_progress_all_lessons_completed_check CHECK (lessons_completed >= 0),
    constraint course_progress_all_total_lessons_check CHECK (total_lessons >= 1 AND total_lessons <= 10000),
    constraint complete_has_its_time CHECK ((completed_at IS NOT NULL) = COALESCE(lessons_completed >= total_lessons, false)),
    constraint started_before_completed CHECK (started_at <= completed_at)
) with (fillfactor=80);
CREATE INDEX course_progress_all_course_id ON course_progress_all USING btree (course_id, user_id);
grant insert, select, update on course_progress_all to course_progress_worker;
grant select (user_id, course_id) on course_progress_all to course_progress_reader;
grant select on course_progress_all to course_progress_effects;
grant select on course_progress_all to course_progress_certificates;
grant select on course_progress_all to course_progress_author;

-- The stored offset of each partition: the tables reflect every record before it. It moves in the transaction that
-- writes them, so it is the truth. The offset committed to Kafka serves tools that show lag. Ahead of this one, it
-- tells a worker that PostgreSQL has lost commits.
create table consumed_offset (
    consumer_group text not null,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,                    -- every record before it is applied
    moved_at timestamptz not null default now(),
    -- every record before next_offset was in the log of this leader epoch, or a later one; null: not known
    leader_epoch integer,
    PRIMARY KEY (consumer_group, topic, partition)
) with (fillfactor=50);
grant delete, insert, select, update on consumed_offset to course_progress_worker;
grant select on consumed_offset to course_progress_reader;
grant delete, insert, select, update on consumed_offset to course_progress_effects;

-- Course events that are not yet published, inserted with the rows that they are about. The relay deletes a row when
-- Kafka has acknowledged its event. Debezium's outbox event router reads the same columns.
create table outbox (
    seq bigint not null generated always as identity,
    id uuid not null,                               -- the CloudEvent's id
    aggregatetype text not null,                    -- always 'course'
    aggregateid text not null,                      -- the record's key: the user
    type text not null,                             -- the CloudEvent's type
    payload jsonb not null,                         -- the CloudEvent's data
    occurred_at timestamptz not null,  -- the CloudEvent's time
    -- topic and partition of the events that caused it: the worker of that partition publishes it, in order per user
    source_topic text not null,
    source_partition integer not null,
    -- when it was inserted: the outbox's age, and whether the row has waited so long that any worker publishes it
    created_at timestamptz not null default now(),
    PRIMARY KEY (seq)
);
CREATE INDEX outbox_source ON outbox USING btree (source_topic, source_partition, seq);
CREATE INDEX outbox_learner ON outbox USING btree (aggregateid, seq);
grant delete, insert, select on outbox to course_progress_worker;
grant select (seq, source_topic, source_partition, created_at) on outbox to course_progress_reader;
grant insert on outbox to course_progress_effects;

-- The topic that the stored offsets belong to: one that was deleted and created again has the same name and another id.
create table known_topic (
    consumer_group text not null,
    topic text not null,
    topic_id uuid not null,                         -- Kafka's id of the topic whose offsets consumed_offset counts
    PRIMARY KEY (consumer_group, topic)
);
grant insert, select, update on known_topic to course_progress_worker;
grant select on known_topic to course_progress_reader;
grant insert, select, update on known_topic to course_progress_effects;

-- The status that each worker reports, for the operations page. A worker writes its row every two seconds, with or
-- without work; a clean stop deletes it. No rule uses it.
create table worker_status (
    consumer_group text not null,
    worker text not null,                           -- its name, also Kafka's client id of the group's member
    host text not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default now(),
    partitions integer[] not null,                  -- the partitions of lesson-events that it reads now
    events_per_s real not null,                     -- settled in the last seconds
    busy real not null,                             -- the share of these seconds in which it worked: 0 to 1
    -- events per second of work in large batches; null: it has had none yet
    capacity_per_s real,
    -- from a record's timestamp to its commit, in the last minute; null: no events
    visible_p50_s real,
    visible_p99_s real,
    dead_letters bigint not null,                   -- since it started
    breaker text,                                   -- why its breaker is open; null: it is closed
    waiting_for text,                               -- why it waits; null: it does not
    knows_versions boolean not null default false,  -- whether it counts by versions of courses
    -- the courses in which events lately said another total than the newest version needs, the latest first, ten at most: course_id, total, needed, at
    disagreeing_totals jsonb not null default '[]'::jsonb,
    PRIMARY KEY (consumer_group, worker)
) with (fillfactor=50);
grant delete, insert, select, update on worker_status to course_progress_worker;
grant select on worker_status to course_progress_reader;

-- One row: one version of a course, as its owner published it (rules 8 to 11). It never changes.
create table course_version (
    course_id uuid not null,
    version integer not null,
    -- the CloudEvent's time; the version is in force from then at the earliest
    published_at timestamptz not null,
    policy text not null,
    needed integer not null,                        -- how many of the required lessons complete the course
    title text,
    content jsonb not null,                         -- the CloudEvent's data
    -- of the content: another event of this version with another digest is refused
    digest bytea not null,
    PRIMARY KEY (course_id, version),
    constraint course_version_version_check CHECK (version >= 1),
    constraint course_version_policy_check CHECK (policy = ANY (ARRAY['grandfather'::text, 'reopen'::text])),
    constraint course_version_needed_check CHECK (needed >= 1 AND needed <= 2000)
);
grant delete, insert, select, update on course_version to course_progress_worker;
grant select on course_version to course_progress_reader;
grant select on course_version to course_progress_effects;
grant select on course_version to course_progress_certificates;
grant insert, select on course_version to course_progress_author;

-- One row: one lesson of one version of a course.
create table course_lesson (
    course_id uuid not null,
    version integer not null,
    "position" integer not null,                    -- from 1, in the order of the course
    required boolean not null,
    lesson_id text collate "C" not null,
    PRIMARY KEY (course_id, version, lesson_id),
    FOREIGN KEY (course_id, version) REFERENCES course_version(course_id, version)
);
grant delete, insert, select, update on course_lesson to course_progress_worker;
grant select on course_lesson to course_progress_reader;
grant insert, select on course_lesson to course_progress_author;

-- One row: a lesson counts as completed where the other is, by any version of the course (rule 8). Transitive.
create table course_replacement (
    course_id uuid not null,
    lesson_id text collate "C" not null,
    replaced_id text collate "C" not null,
    PRIMARY KEY (course_id, lesson_id, replaced_id)
);
grant delete, insert, select, update on course_replacement to course_progress_worker;
grant select on course_replacement to course_progress_reader;
grant insert, select on course_replacement to course_progress_author;

-- One row: when the owner stopped offering the course. A version published later brings it back.
create table course_deleted (
    course_id uuid not null,
    deleted_at timestamptz not null,
    PRIMARY KEY (course_id)
);
grant delete, insert, select, update on course_deleted to course_progress_worker;
grant select on course_deleted to course_progress_reader;

-- One row: grows whenever what workers must know of courses changes. A batch that was folded with older knowledge
-- writes nothing.
create table known_epoch (
    only_row boolean not null default true,
    epoch bigint not null,
    PRIMARY KEY (only_row),
    constraint known_epoch_only_row_check CHECK (only_row)
);
grant delete, insert, select, update on known_epoch to course_progress_worker;
grant select on known_epoch to course_progress_reader;

-- One row: how far the progress rows of a course are recounted for its newest version.
create table course_recount (
    course_id uuid not null,
    version integer not null,
    after_user uuid,                                -- the rows of users up to here are done; null: none
    rows_seen bigint not null default 0,
    rows_changed bigint not null default 0,
    completed bigint not null default 0,
    revoked bigint not null default 0,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    -- how many progress rows the course had when the recount began; null: not counted yet
    rows_expected bigint,
    PRIMARY KEY (course_id)
);
CREATE INDEX course_recount_waiting ON course_recount USING btree (started_at) WHERE finished_at IS NULL;
grant delete, insert, select, update on course_recount to course_progress_worker;
grant select on course_recount to course_progress_reader;

-- One row: the waivers of one lesson for one user. The last of waived_at and withdrawn_at decides (rule 8).
create table lesson_waiver (
    user_id uuid not null,
    course_id uuid not null,
    lesson_id text collate "C" not null,
    -- each waiver, in order; those up to the reset of the progress row do not count
    waived_at timestamptz[] not null,
    withdrawn_at timestamptz,          -- the last withdrawal
    reason text,                                    -- of the last waiver
    PRIMARY KEY (user_id, course_id, lesson_id)
);
grant delete, insert, select, update on lesson_waiver to course_progress_worker;
grant select on lesson_waiver to course_progress_reader;
grant select on lesson_waiver to course_progress_author;

-- One row: one transition of a progress row, as it was announced (rules 7 and 12). Rows are only added.
create table transition (
    event_id uuid not null,                         -- the id of the course event
    type text not null,
    user_id uuid not null,
    course_id uuid not null,
    occurred_at timestamptz not null,
    completion_number integer not null,
    course_version integer not null,                -- the version of the course that decided; 0: none
    cause text not null,                            -- as in the course event: docs/rules.md
    recorded_at timestamptz not null default now(),  -- when the database learnt of it
    PRIMARY KEY (event_id),
    constraint transition_type_check CHECK (type = ANY (ARRAY['CourseCompleted'::text, 'CourseCompletionRevoked'::text]))
);
CREATE INDEX transition_of_learner ON transition USING btree (user_id, course_id, completion_number);
grant insert, select on transition to course_progress_worker;
grant select on transition to course_progress_reader;
grant insert, select on transition to course_progress_effects;
grant select on transition to course_progress_certificates;

-- One row: something that follows from events and is still to be done. It is deleted in the transaction that does it.
create table effect (
    kind text not null,                             -- which effect, such as certificate
    key text collate "C" not null,                  -- what it is about: planning it again changes nothing
    user_id uuid,                                   -- the learner whom it waits for
    -- topic and partition of the record that caused it, for the course events that it sets off in turn
    source_topic text not null,
    source_partition integer not null,
    planned_at timestamptz not null default now(),
    due_at timestamptz not null default now(),  -- not performed before
    attempts integer not null default 0,            -- how often it has failed since it was last done or planned
    reason text,                                    -- why the last attempt did not do it; null: none has failed
    PRIMARY KEY (kind, key)
);
CREATE INDEX effect_due ON effect USING btree (due_at);
CREATE INDEX effect_failed ON effect USING btree (kind) WHERE reason IS NOT NULL;
CREATE INDEX effect_user ON effect USING btree (user_id);
grant delete, insert, select, update on effect to course_progress_effects;
grant insert, select (kind, key, planned_at, due_at, attempts, reason), update (due_at, attempts) on effect to course_progress_certificates;

-- One row: how to address a learner, as the latest LearnerDescribed says.
create table learner (
    user_id uuid not null,
    described_at timestamptz not null,  -- the event's time: the latest event counts
    name text,
    email text,
    locale text,
    timezone text,
    -- to which kinds of mail the learner has agreed: true or false for each
    mail jsonb not null default '{}'::jsonb,
    PRIMARY KEY (user_id)
);
grant select (user_id, timezone) on learner to course_progress_reader;
grant delete, insert, select, update on learner to course_progress_effects;

-- One row: a completion, as course events announced it. It says the same in whatever order they came.
create table announced_completion (
    user_id uuid not null,
    course_id uuid not null,
    completion_number integer not null,
    course_version integer,                         -- null: its CourseCompleted has not come
    title text,
    completed_at timestamptz,
    revoked_at timestamptz,            -- null: no CourseCompletionRevoked of this number has come
    revoked_cause text,
    PRIMARY KEY (user_id, course_id, completion_number)
);
grant select on announced_completion to course_progress_reader;
grant delete, insert, select, update on announced_completion to course_progress_effects;
grant select on announced_completion to course_progress_certificates;

-- One row: the certificate of a learner for one version of a course (rule 21). What it says does not change but by a
-- reissue.
create table certificate (
    code text collate "C" not null,                 -- random, 128 bits in base32: who has it may see the certificate
    user_id uuid not null,
    course_id uuid not null,
    course_version integer not null,
    completion_number integer not null,
    name text not null,
    title text not null,
    completed_on date not null,                     -- the day of completed_at in the learner's time zone at the issue
    completed_at timestamptz not null,
    issued_at timestamptz not null,
    -- revoked: the completion was taken back, or by hand. withdrawn: a waiver that it stands on was taken back
    status text not null,
    status_at timestamptz not null,    -- since when
    -- why it is not valid: the cause of the revocation, or what somebody wrote
    reason text,
    revoked_by_hand boolean not null default false,  -- then no completion makes it valid again
    wish text,                                      -- what somebody wants of it, until effects have done it
    wish_reason text,
    -- false: the public page tells no more than that it is valid, or is not
    listed boolean not null default true,
    issue integer not null default 1,               -- grows with each credential of this certificate: 1, 2, 3
    rendered_with jsonb not null,                   -- digest of the template and the fonts, version of typst
    credential jsonb not null,                      -- the Open Badges 3.0 credential, signed
    PRIMARY KEY (code),
    UNIQUE (user_id, course_id, course_version),
    constraint certificate_status_check CHECK (status = ANY (ARRAY['valid'::text, 'revoked'::text, 'withdrawn'::text])),
    constraint certificate_wish_check CHECK (wish = ANY (ARRAY['revoke'::text, 'reissue'::text]))
);
CREATE INDEX certificate_issued ON certificate USING btree (issued_at DESC, code);
CREATE INDEX certificate_course ON certificate USING btree (course_id, issued_at DESC);
grant delete, insert, select, update on certificate to course_progress_effects;
grant select, update (wish, wish_reason, listed) on certificate to course_progress_certificates;

-- One row: a Bitstring Status List of revoked credentials.
create table status_list (
    list integer not null,
    credential jsonb,                               -- the signed list, as it is served; null: to be signed
    signed_at timestamptz,
    PRIMARY KEY (list)
);
grant delete, insert, select, update on status_list to course_progress_effects;
grant select on status_list to course_progress_certificates;

-- One row: the place of one credential in a status list. A certificate that is issued again gets another.
create table credential_status (
    list integer not null,
    list_index integer not null,
    code text not null,
    revoked boolean not null default false,         -- the bit: it is never taken back
    PRIMARY KEY (list, list_index),
    FOREIGN KEY (list) REFERENCES status_list(list),
    FOREIGN KEY (code) REFERENCES certificate(code) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX credential_status_code ON credential_status USING btree (code);
CREATE INDEX credential_status_revoked ON credential_status USING btree (list, list_index) WHERE revoked;
grant delete, insert, select, update on credential_status to course_progress_effects;
grant select on credential_status to course_progress_certificates;

-- One row: a public key that credentials were signed with. It stays, so that they can be verified for ever.
create table signing_key (
    key_id text not null,
    public_key text not null,                       -- Ed25519, as publicKeyMultibase
    first_used_at timestamptz not null default now(),
    PRIMARY KEY (key_id)
);
grant delete, insert, select, update on signing_key to course_progress_effects;
grant select on signing_key to course_progress_certificates;

-- One row: a day on which a learner completed a lesson, by a clock with this offset from UTC (rule 18). Rows are only
-- added.
create table active_day (
    user_id uuid not null,
    day date not null,
    utc_offset smallint not null,                   -- of the clock, in minutes, as the event told it; never 0
    PRIMARY KEY (user_id, day, utc_offset)
);
grant select on active_day to course_progress_reader;
grant delete, insert, select, update on active_day to course_progress_effects;

-- One row: a quarter of an hour in which a learner completed a lesson, told in UTC. It has its day when it is read, in
-- the learner's time zone of then (rule 18). Rows are only added.
create table active_instant (
    user_id uuid not null,
    at timestamptz not null,
    PRIMARY KEY (user_id, at)
);
grant select on active_instant to course_progress_reader;
grant delete, insert, select, update on active_instant to course_progress_effects;

-- One row: a lesson that a learner has completed, whatever became of it. completed_at is the earliest.
create table studied_lesson (
    user_id uuid not null,
    course_id uuid not null,
    lesson_id text collate "C" not null,
    completed_at timestamptz not null,
    PRIMARY KEY (user_id, course_id, lesson_id)
);
grant select on studied_lesson to course_progress_reader;
grant delete, insert, select, update on studied_lesson to course_progress_effects;

-- One row: a badge that is declared, and how far its rule was tried on who is there.
create table badge_rule (
    badge text collate "C" not null,
    rule jsonb not null,
    since timestamptz not null default now(),  -- since when it has this rule
    after_user uuid,                                -- learners up to here were looked at; null: none
    scanned_at timestamptz,            -- when all had been looked at; null: not yet
    PRIMARY KEY (badge)
);
grant select on badge_rule to course_progress_reader;
grant delete, insert, select, update on badge_rule to course_progress_effects;

-- One row: a badge that a learner was awarded. It stays when the badge is declared no more.
create table badge_award (
    user_id uuid not null,
    badge text collate "C" not null,
    number integer not null,                        -- of the completion, of a revocable badge; else 1
    title text not null,
    description text not null,
    course_id uuid,
    earned_on date not null,                        -- the day that made it up, as the learner's calendar has it
    awarded_at timestamptz not null default now(),
    -- learner, or rule-changed: it was earned before the badge had this rule
    cause text not null,
    -- whether it was earned the day that it was awarded, or the day before
    fresh boolean not null,
    revoked_at timestamptz,            -- null: the learner has it
    PRIMARY KEY (user_id, badge, number)
);
CREATE INDEX badge_award_of_badge ON badge_award USING btree (badge);
grant select on badge_award to course_progress_reader;
grant delete, insert, select, update on badge_award to course_progress_effects;

-- The rows that readers see: a row that was reset is absent until a later event arrives (rule 6).
create view course_progress as
 SELECT id,
    user_id,
    course_id,
    lessons_completed,
    total_lessons,
    progress_percentage,
    last_lesson_id,
    last_accessed_at,
    started_at,
    completed_at,
    completion_number,
    reset_at,
    created_at,
    updated_at,
    course_version,
    lessons_waived,
    utc_offset
   FROM course_progress_all
  WHERE last_accessed_at IS NOT NULL;
grant select on course_progress to course_progress_reader;
grant select on course_progress to course_progress_effects;
grant select on course_progress to course_progress_certificates;

-- the version of a course that a learner is complete under, and since when
create type course_completion as (version integer, completed_at timestamptz);

-- For course_event_id of releases before 0008. A later migration drops it.
CREATE OR REPLACE FUNCTION uuid_v5(namespace uuid, name text)
 RETURNS uuid
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
declare
    mask constant bigint := x'ffffffff'::bigint;
    message bytea := uuid_send(namespace) || convert_to(name, 'UTF8');
    bits constant bigint := length(message) * 8;
    w bigint[];
    h0 bigint := x'67452301'::bigint;
    h1 bigint := x'efcdab89'::bigint;
    h2 bigint := x'98badcfe'::bigint;
    h3 bigint := x'10325476'::bigint;
    h4 bigint := x'c3d2e1f0'::bigint;
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
begin
    message := message || '\x80'::bytea
        || decode(repeat('00', (119 - length(message) % 64) % 64), 'hex') || int8send(bits);
    for block in 0 .. length(message) / 64 - 1 loop
        w := array(
            select ('x' || encode(substr(message, block * 64 + i * 4 + 1, 4), 'hex'))::bit(32)::bigint
            from generate_series(0, 15) as i order by i);
        for i in 17 .. 80 loop
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & mask;
        end loop;
        a := h0; b := h1; c := h2; d := h3; e := h4;
        for i in 1 .. 80 loop
            if i <= 20 then f := (b & c) | (~b & d & mask); k := x'5a827999'::bigint;
            elsif i <= 40 then f := b # c # d; k := x'6ed9eba1'::bigint;
            elsif i <= 60 then f := (b & c) | (b & d) | (c & d); k := x'8f1bbcdc'::bigint;
            else f := b # c # d; k := x'ca62c1d6'::bigint;
            end if;
            t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        end loop;
        h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask;
        h3 := (h3 + d) & mask; h4 := (h4 + e) & mask;
    end loop;
    -- Version 5 and the RFC's variant replace six bits of the digest's first sixteen bytes.
    h1 := (h1 & x'ffff0fff'::bigint) | x'5000'::bigint;
    h2 := (h2 & x'3fffffff'::bigint) | x'80000000'::bigint;
    return encode(int8send((h0 << 32) | h1) || int8send((h2 << 32) | h3), 'hex')::uuid;
end $function$;
grant execute on function uuid_v5(uuid,text) to course_progress_worker;

-- The id of a course event in releases before 0008, whose workers may still run. A later migration drops it.
CREATE OR REPLACE FUNCTION course_event_id(type text, user_id uuid, course_id uuid, completion_number integer)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN uuid_v5('5b0c4b0e-6f0e-5b52-9d3c-0d6c1f6f0a55'::uuid, ((((((type || '/'::text) || user_id) || '/'::text) || course_id) || '/'::text) || completion_number));
grant execute on function course_event_id(text,uuid,uuid,integer) to course_progress_worker;

-- A JSON array of lesson ids in the order they were completed: select cp.completed_lessons from course_progress cp.
CREATE OR REPLACE FUNCTION completed_lessons(cp course_progress)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
RETURN (SELECT COALESCE(jsonb_agg(l.lesson_id ORDER BY l.completed_at, l.lesson_id), '[]'::jsonb) AS "coalesce" FROM lesson_progress l WHERE ((l.user_id = (completed_lessons.cp).user_id) AND (l.course_id = (completed_lessons.cp).course_id) AND l.completed));
grant execute on function completed_lessons(course_progress) to course_progress_reader;

-- The data of a CourseCompleted or CourseCompletionRevoked. Null for any other type.
CREATE OR REPLACE FUNCTION course_event_payload(type text, user_id uuid, course_id uuid, completion_number integer, lessons_completed integer, total_lessons integer, started_at timestamptz, occurred_at timestamptz)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (jsonb_build_object('user_id', user_id, 'course_id', course_id, 'completion_number', completion_number, 'lessons_completed', lessons_completed, 'total_lessons', total_lessons) || CASE type WHEN 'CourseCompleted'::text THEN jsonb_build_object('started_at', started_at, 'completed_at', occurred_at) WHEN 'CourseCompletionRevoked'::text THEN jsonb_build_object('revoked_at', occurred_at) ELSE NULL::jsonb END);
grant execute on function course_event_payload(text,uuid,uuid,integer,integer,integer,timestamptz,timestamptz) to course_progress_worker;

-- The UUIDv8 (RFC 9562) of a name: the first 16 bytes of its SHA-256, with version and variant.
CREATE OR REPLACE FUNCTION uuid_v8(name text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (SELECT (encode(set_byte(set_byte(h.h, 6, ((get_byte(h.h, 6) & 15) | 128)), 8, ((get_byte(h.h, 8) & 63) | 128)), 'hex'::text))::uuid AS encode FROM substr(sha256(convert_to(uuid_v8.name, 'UTF8'::name)), 1, 16) h(h));
grant execute on function uuid_v8(text) to course_progress_worker;

-- The id under which a course event is published, always the same one: events.course_event_id in SQL.
CREATE OR REPLACE FUNCTION course_event_id(type text, user_id uuid, course_id uuid, completion_number integer, at timestamptz)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN uuid_v8(((((((((type || '/'::text) || user_id) || '/'::text) || course_id) || '/'::text) || completion_number) || '/'::text) || ((EXTRACT(epoch FROM (at - '1970-01-01 00:00:00+00'::timestamptz)) * (1000000)::numeric))::bigint));
grant execute on function course_event_id(text,uuid,uuid,integer,timestamptz) to course_progress_worker;

-- The completions of a lesson row, some null or twice.
CREATE OR REPLACE FUNCTION known_times(completions timestamptz[], completed boolean, completed_at timestamptz, changed_at timestamptz)
 RETURNS timestamptz[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (COALESCE(completions, '{}'::timestamptz[]) || ARRAY[completed_at, CASE WHEN completed THEN changed_at ELSE NULL::timestamptz END]);
grant execute on function known_times(timestamptz[],boolean,timestamptz,timestamptz) to course_progress_worker;

-- The times as they are stored: of more than 100 the first and last 50.
CREATE OR REPLACE FUNCTION keep_times(times timestamptz[])
 RETURNS timestamptz[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (cardinality(times) > 100) THEN ((times)[:50] || (times)[(cardinality(times) - 49):]) ELSE times END;
grant execute on function keep_times(timestamptz[]) to course_progress_worker;

-- The data of a CourseCompleted or CourseCompletionRevoked. Null for any other type.
CREATE OR REPLACE FUNCTION course_event_payload(type text, user_id uuid, course_id uuid, completion_number integer, lessons_completed integer, total_lessons integer, started_at timestamptz, occurred_at timestamptz, course_version integer, title text, cause text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (course_event_payload(type, user_id, course_id, completion_number, lessons_completed, total_lessons, started_at, occurred_at) || jsonb_build_object('course_version', course_version, 'title', title, 'cause', cause));
grant execute on function course_event_payload(text,uuid,uuid,integer,integer,integer,timestamptz,timestamptz,integer,text,text) to course_progress_worker;

-- Keeps in `transition` what the outbox announces.
CREATE OR REPLACE FUNCTION record_transitions()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
    insert into transition (event_id, type, user_id, course_id, occurred_at, completion_number, course_version, cause)
    select id, type, (payload ->> 'user_id')::uuid, (payload ->> 'course_id')::uuid, occurred_at,
           (payload ->> 'completion_number')::integer, coalesce((payload ->> 'course_version')::integer, 0),
           coalesce(payload ->> 'cause', 'learner')
    from inserted
    where type in ('CourseCompleted', 'CourseCompletionRevoked')
    on conflict (event_id) do nothing;
    return null;
end
$function$;
grant execute on function record_transitions() to course_progress_worker;

-- One step of rules 9 and 10: which version a learner is complete under once this one is published, and since when.
CREATE OR REPLACE FUNCTION hold_to_version(held course_completion, version integer, policy text, in_force timestamptz, until timestamptz, made_up_at timestamptz)
 RETURNS course_completion
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (((held).version IS NOT NULL) AND (policy = 'grandfather'::text)) THEN held WHEN (((held).version IS NOT NULL) AND (made_up_at <= GREATEST((held).completed_at, in_force))) THEN ROW(version, (held).completed_at)::course_completion WHEN ((made_up_at IS NOT NULL) AND (GREATEST(made_up_at, in_force) < until)) THEN ROW(version, GREATEST(made_up_at, in_force))::course_completion ELSE NULL::course_completion END;
grant execute on function hold_to_version(course_completion,integer,text,timestamptz,timestamptz,timestamptz) to course_progress_worker;
grant execute on function hold_to_version(course_completion,integer,text,timestamptz,timestamptz,timestamptz) to course_progress_author;

-- Rules 9 and 10 over the versions of a course, in their order; null: not complete.
CREATE AGGREGATE held_version(integer, text, timestamptz, timestamptz, timestamptz) (sfunc = hold_to_version, stype = course_completion);
grant execute on function held_version(integer,text,timestamptz,timestamptz,timestamptz) to course_progress_worker;
grant execute on function held_version(integer,text,timestamptz,timestamptz,timestamptz) to course_progress_author;

-- What the progress rows of these users in these courses must say by the versions of the courses (rules 8 to 11).
-- Leaves out rows that are not there, and courses without a version.
CREATE OR REPLACE FUNCTION judge_progress(users uuid[], courses uuid[])
 RETURNS TABLE(id bigint, lessons_completed integer, total_lessons integer, completed_at timestamptz, course_version integer, judged_by integer, newest_since timestamptz, lessons_waived integer, title text)
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
with
rows_judged as materialized (
    select p.id, r.user_id, r.course_id, coalesce(p.reset_at, '-infinity') as counts_after
    from unnest(users, courses) as r (user_id, course_id)
    cross join lateral (
        select id, reset_at from course_progress_all a
        where a.user_id = r.user_id and a.course_id = r.course_id
        offset 0 -- a fence: looked up by the whole key (0017)
    ) p
),
-- Each version with the time from which it is in force: its publication, or that of a lower version if that is later.
versions as materialized (
    select v.*, t.title, coalesce(lead(v.in_force) over (partition by v.course_id order by v.version), 'infinity') as until
    from (
        select course_id, version, policy, needed,
               coalesce(max(published_later) over (partition by course_id order by version), '-infinity') as in_force
        from (
            select v.*, case when version > min(version) over (partition by course_id) then published_at end
                       as published_later
            from course_version v
            where course_id in (select course_id from rows_judged)
        ) v
    ) v
    join course_version t using (course_id, version)
),
lessons_required as materialized (
    select c.*
    from (select distinct course_id from rows_judged) r
    cross join lateral (
        select course_id, version, lesson_id from course_lesson l where l.course_id = r.course_id and l.required
        offset 0 -- a fence, as above
    ) c
),
lessons_done as materialized (
    select r.id, r.course_id, met.*
    from rows_judged r
    cross join lateral (
        select lesson_id, coalesce(completions[1], completed_at) as met_at, false as waived from lesson_progress l
        where l.user_id = r.user_id and l.course_id = r.course_id and l.completed and l.changed_at > r.counts_after
        union all
        select w.lesson_id, first, true
        from lesson_waiver w
        cross join lateral (
            select min(t) as first, max(t) as last from unnest(w.waived_at) t where t > r.counts_after
        ) waived
        where w.user_id = r.user_id and w.course_id = r.course_id and last >= coalesce(w.withdrawn_at, '-infinity')
        offset 0 -- a fence, as above
    ) met
),
-- Rule 8: the required lessons that are met, each with its earliest date.
lessons_met as (
    select d.id, d.course_id, c.version, c.lesson_id, min(d.met_at) as met_at, bool_or(d.waived) as waived
    from (
        select * from lessons_done
        union all
        select d.id, d.course_id, m.lesson_id, d.met_at, d.waived
        from lessons_done d
        join course_replacement m on m.course_id = d.course_id and m.replaced_id = d.lesson_id
    ) d
    join lessons_required c on c.course_id = d.course_id and c.lesson_id = d.lesson_id
    group by d.id, d.course_id, c.version, c.lesson_id
),
-- A row per progress row and version, also where no lesson is met. No outer join: the planner would take it for small,
-- and compare each progress row with all others.
lessons_counted as (
    select id, course_id, version, count(lesson_id)::integer as met, count(*) filter (where waived)::integer as waived,
           array_agg(met_at order by met_at) as met_at
    from (
        select id, course_id, version, lesson_id, met_at, waived from lessons_met
        union all
        select r.id, r.course_id, v.version, null, null, false
        from rows_judged r
        join versions v on v.course_id = r.course_id
    ) lesson
    group by id, course_id, version
),
-- Rules 9 and 10.
rows_held as (
    select l.id, max(v.version) as newest, max(v.in_force) as newest_since,
           held_version(v.version, v.policy, v.in_force, v.until, l.met_at[v.needed] order by v.version) as held,
           array_agg(v.version order by v.version) as version, array_agg(v.needed order by v.version) as needed,
           array_agg(v.title order by v.version) as title, array_agg(l.met order by v.version) as met,
           array_agg(l.waived order by v.version) as waived
    from lessons_counted l
    join versions v on v.course_id = l.course_id and v.version = l.version
    group by l.id
)
-- Rule 11.
select id, least(met[n], needed[n]), needed[n], (held).completed_at, version[n], newest, newest_since, waived[n],
       title[n]
from rows_held
cross join lateral (select array_position(version, coalesce((held).version, newest)) as n) of_version
$function$;
grant execute on function judge_progress(uuid[],uuid[]) to course_progress_worker;
grant execute on function judge_progress(uuid[],uuid[]) to course_progress_author;

-- The highest of 0, 25, 50 and 75 that the percentage of rule 3 reaches.
CREATE OR REPLACE FUNCTION milestone_of(lessons_completed integer, total_lessons integer)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (total_lessons > 0) THEN (LEAST(75, (((((200 * lessons_completed) + total_lessons) / (2 * total_lessons)) / 25) * 25)))::smallint ELSE (0)::smallint END;
grant execute on function milestone_of(integer,integer) to course_progress_worker;

-- The data and ids of the ProgressMilestoneReached from one milestone to another: events.milestone_event_id in SQL.
CREATE OR REPLACE FUNCTION milestone_events(user_id uuid, course_id uuid, passed_before smallint, passed smallint, run timestamptz, lessons_completed integer, total_lessons integer, course_version integer, cause text, reached_at timestamptz)
 RETURNS TABLE(id uuid, type text, payload jsonb)
 LANGUAGE sql
 STABLE PARALLEL SAFE
BEGIN ATOMIC
 SELECT uuid_v8(((((((('ProgressMilestoneReached/'::text || milestone_events.user_id) || '/'::text) || milestone_events.course_id) || '/'::text) || milestone.milestone) || '/'::text) || COALESCE((((EXTRACT(epoch FROM (milestone_events.run - '1970-01-01 00:00:00+00'::timestamptz)) * (1000000)::numeric))::bigint)::text, 'start'::text))) AS id,
     'ProgressMilestoneReached'::text AS type,
     jsonb_build_object('user_id', milestone_events.user_id, 'course_id', milestone_events.course_id, 'milestone', milestone.milestone, 'run', milestone_events.run, 'lessons_completed', milestone_events.lessons_completed, 'total_lessons', milestone_events.total_lessons, 'course_version', milestone_events.course_version, 'cause', milestone_events.cause, 'reached_at', milestone_events.reached_at, 'title', ( SELECT v.title
            FROM course_version v
           WHERE ((milestone_events.course_version > 0) AND (v.course_id = milestone_events.course_id) AND (v.version = milestone_events.course_version)))) AS payload
    FROM generate_series((milestone_events.passed_before + 25), (milestone_events.passed)::integer, 25) milestone(milestone);
END;
grant execute on function milestone_events(uuid,uuid,smallint,smallint,timestamptz,integer,integer,integer,text,timestamptz) to course_progress_worker;
