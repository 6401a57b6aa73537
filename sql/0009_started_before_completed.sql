-- A row cannot be completed before it began (rule 4). Rows that say so come from a reset that arrived late.

-- migrate:up

update course_progress_all set started_at = completed_at, updated_at = now() where started_at > completed_at;
-- Not validated here, because that would keep readers and workers waiting while the table is scanned.
alter table course_progress_all
    add constraint started_before_completed check (started_at <= completed_at) not valid;
-- migrate:down
