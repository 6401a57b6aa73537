-- ready
-- One row, if the tables are there and may be read.
select exists (select from course_progress) as any_progress
