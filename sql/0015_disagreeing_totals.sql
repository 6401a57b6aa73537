-- What operators see of versions: events that still say another total, and how far a recount is.

-- migrate:up

-- A constant default adds the column without writing a row.
alter table worker_status add column disagreeing_totals jsonb not null default '[]';

alter table course_recount add column rows_expected bigint;
-- Workers look for a course to recount every second, and a catalog can have thousands.
create index course_recount_waiting on course_recount (started_at) where finished_at is null;

comment on column worker_status.disagreeing_totals is
    'the courses in which events lately said another total than the newest version needs, the latest first, ten at '
    'most: course_id, total, needed, at';
comment on column course_recount.rows_expected is
    'how many progress rows the course had when the recount began; null: not counted yet';
-- migrate:down
