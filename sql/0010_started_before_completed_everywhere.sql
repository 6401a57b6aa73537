-- Validates the constraint of 0009, while readers and workers go on.

-- migrate:up

-- A worker may have written such a row after 0009 had looked.
update course_progress_all set started_at = completed_at, updated_at = now() where started_at > completed_at;
alter table course_progress_all validate constraint started_before_completed;
-- migrate:down
