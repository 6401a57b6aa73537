-- Finds valid certificates whose completion number was never announced, at most $1; a progress row that is complete
-- under this number counts as announced, because it may be older than the table of transitions.
-- Returns code, user_id, course_id, course_version, completion_number.
select code, user_id, course_id, course_version, completion_number
from certificate c
where status = 'valid'
  and not exists (
      select from transition t
      where t.user_id = c.user_id and t.course_id = c.course_id and t.completion_number = c.completion_number
        and t.type = 'CourseCompleted')
  and not exists (
      select from course_progress p
      where p.user_id = c.user_id and p.course_id = c.course_id and p.completion_number = c.completion_number
        and p.completed_at is not null)
limit $1
