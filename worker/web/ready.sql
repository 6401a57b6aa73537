-- Checks that the tables are there and may be read. Returns one row.
select exists (select from course_progress) as any_progress
