-- ready
-- Returns one row if the tables exist and may be read.
select exists (select from course_progress) as any_progress
