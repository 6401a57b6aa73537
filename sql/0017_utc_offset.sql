-- The offset of the clock that an access was told with: whose days and weeks are asked for where no browser says.

-- migrate:up

-- A constant default adds the column without writing a row. Workers of the release before leave it as it is.
alter table course_progress_all add column utc_offset smallint not null default 0;

create or replace view course_progress as
select id, user_id, course_id, lessons_completed, total_lessons, progress_percentage, last_lesson_id,
       last_accessed_at, started_at, completed_at, completion_number, reset_at, created_at, updated_at, course_version,
       lessons_waived, utc_offset
from course_progress_all
where last_accessed_at is not null;

comment on column course_progress_all.utc_offset is
    'how many minutes the clock was ahead of UTC that last_accessed_at was told by';
-- migrate:down
