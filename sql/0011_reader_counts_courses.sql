-- The API bounds how many courses a learner may have.

-- migrate:up

-- A course that was reset is nobody's to see (rule 6), and takes room all the same: that it is there may be counted.
grant select (user_id, course_id) on course_progress_all to course_progress_reader;
-- migrate:down
