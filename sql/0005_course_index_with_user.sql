-- One row is looked up by both columns, whichever index the planner takes.

-- migrate:up

-- An index of course_id alone was taken for such lookups while few learners were in a course (or none yet, for a plan
-- that stays), and read all of its learners for each: docs/decisions/0017. Readers of a course use this one as before.
drop index course_progress_all_course_id;
create index course_progress_all_course_id on course_progress_all (course_id, user_id);
-- migrate:down
