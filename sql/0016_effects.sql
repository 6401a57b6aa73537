-- What follows from course events, and the people it is for. One process writes all of it: course-progress effects.

-- migrate:up

do $$
declare
    missing text;
begin
    foreach missing in array array['course_progress_effects', 'course_progress_certificates'] loop
        continue when to_regrole(missing) is not null;
        begin
            execute format('create role %I', missing);
        exception when duplicate_object or unique_violation then -- another database's migration created it meanwhile
            null;
        end;
    end loop;
    execute format(
        'grant usage on schema %I to course_progress_effects, course_progress_certificates', current_schema);
exception when insufficient_privilege then
    raise insufficient_privilege using message = format(
        '%s. Let an administrator run: create role course_progress_effects; create role course_progress_certificates',
        sqlerrm);
end $$;

create table effect (
    kind text not null,
    key text collate "C" not null,
    user_id uuid,
    source_topic text not null,
    source_partition integer not null,
    planned_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    reason text,
    primary key (kind, key)
);
create index effect_due on effect (due_at);
create index effect_failed on effect (kind) where reason is not null;
create index effect_user on effect (user_id);

comment on table effect is
    'One row: something that follows from events and is still to be done. It is deleted in the transaction that does '
    'it.';
comment on column effect.kind is 'which effect, such as certificate';
comment on column effect.key is 'what it is about: planning it again changes nothing';
comment on column effect.user_id is 'the learner whom it waits for';
comment on column effect.source_topic is
    'topic and partition of the record that caused it, for the course events that it sets off in turn';
comment on column effect.due_at is 'not performed before';
comment on column effect.attempts is 'how often it has failed since it was last done or planned';
comment on column effect.reason is 'why the last attempt did not do it; null: none has failed';

create table learner (
    user_id uuid primary key,
    described_at timestamptz not null,
    name text,
    email text,
    locale text,
    timezone text,
    mail jsonb not null default '{}'
);

comment on table learner is 'One row: how to address a learner, as the latest LearnerDescribed says.';
comment on column learner.described_at is 'the event''s time: the latest event counts';
comment on column learner.mail is 'to which kinds of mail the learner has agreed: true or false for each';

create table announced_completion (
    user_id uuid not null,
    course_id uuid not null,
    completion_number integer not null,
    course_version integer,
    title text,
    completed_at timestamptz,
    revoked_at timestamptz,
    revoked_cause text,
    primary key (user_id, course_id, completion_number)
);

comment on table announced_completion is
    'One row: a completion, as course events announced it. It says the same in whatever order they came.';
comment on column announced_completion.course_version is 'null: its CourseCompleted has not come';
comment on column announced_completion.revoked_at is 'null: no CourseCompletionRevoked of this number has come';

create table certificate (
    code text collate "C" primary key,
    user_id uuid not null,
    course_id uuid not null,
    course_version integer not null,
    completion_number integer not null,
    name text not null,
    title text not null,
    completed_on date not null,
    completed_at timestamptz not null,
    issued_at timestamptz not null,
    status text not null check (status in ('valid', 'revoked', 'withdrawn')),
    status_at timestamptz not null,
    reason text,
    revoked_by_hand boolean not null default false,
    wish text check (wish in ('revoke', 'reissue')),
    wish_reason text,
    listed boolean not null default true,
    issue integer not null default 1,
    rendered_with jsonb not null,
    credential jsonb not null,
    unique (user_id, course_id, course_version)
);

create index certificate_issued on certificate (issued_at desc, code);
create index certificate_course on certificate (course_id, issued_at desc);

comment on table certificate is
    'One row: the certificate of a learner for one version of a course (rule 21). What it says does not change but by '
    'a reissue.';
comment on column certificate.code is 'random, 128 bits in base32: who has it may see the certificate';
comment on column certificate.completed_on is 'the day of completed_at in the learner''s time zone at the issue';
comment on column certificate.status is
    'revoked: the completion was taken back, or by hand. withdrawn: a waiver that it stands on was taken back';
comment on column certificate.status_at is 'since when';
comment on column certificate.reason is 'why it is not valid: the cause of the revocation, or what somebody wrote';
comment on column certificate.revoked_by_hand is 'then no completion makes it valid again';
comment on column certificate.wish is 'what somebody wants of it, until effects have done it';
comment on column certificate.listed is 'false: the public page tells no more than that it is valid, or is not';
comment on column certificate.issue is 'grows with each credential of this certificate: 1, 2, 3';
comment on column certificate.rendered_with is 'digest of the template and the fonts, version of typst';
comment on column certificate.credential is 'the Open Badges 3.0 credential, signed';

create table status_list (
    list integer primary key,
    credential jsonb,
    signed_at timestamptz
);

comment on table status_list is 'One row: a Bitstring Status List of revoked credentials.';
comment on column status_list.credential is 'the signed list, as it is served; null: to be signed';

create table credential_status (
    list integer not null references status_list (list),
    list_index integer not null,
    code text not null references certificate (code) deferrable initially deferred, -- the place is signed before
    revoked boolean not null default false,
    primary key (list, list_index)
);
create index credential_status_code on credential_status (code);
create index credential_status_revoked on credential_status (list, list_index) where revoked;

comment on table credential_status is
    'One row: the place of one credential in a status list. A certificate that is issued again gets another.';
comment on column credential_status.revoked is 'the bit: it is never taken back';

create table signing_key (
    key_id text primary key,
    public_key text not null,
    first_used_at timestamptz not null default now()
);

comment on table signing_key is
    'One row: a public key that credentials were signed with. It stays, so that they can be verified for ever.';
comment on column signing_key.public_key is 'Ed25519, as publicKeyMultibase';

do $$
declare
    name text;
begin
    foreach name in array array['effect', 'learner', 'announced_completion', 'certificate', 'status_list',
                                'credential_status', 'signing_key'] loop
        execute format('alter table %I owner to course_progress_owner', name);
        execute format('grant select, insert, update, delete on %I to course_progress_effects', name);
    end loop;
end $$;

grant select, insert, update, delete on consumed_offset to course_progress_effects;
grant select, insert, update on known_topic to course_progress_effects;
grant insert on outbox to course_progress_effects;
grant insert on transition to course_progress_effects; -- the trigger of outbox does, with no rows
grant select on transition, course_progress, course_progress_all, course_version to course_progress_effects;
grant select on certificate, status_list, credential_status, signing_key, course_version
    to course_progress_certificates;
-- A reader of theirs may hide a certificate; an administrator may wish that one is revoked or issued anew.
grant update (listed, wish, wish_reason) on certificate to course_progress_certificates;
grant select (kind, key, planned_at, due_at, attempts, reason) on effect to course_progress_certificates;
grant insert, update (due_at, attempts) on effect to course_progress_certificates;
-- For the reconciliation on Operations, and the reasons why certificates wait.
grant select on announced_completion, transition, course_progress, course_progress_all to course_progress_certificates;
-- migrate:down
