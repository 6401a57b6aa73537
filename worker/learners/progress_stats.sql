-- Sums up all courses of user $1. Returns one row, zeros where there are none, with as_of: the database's clock. What
-- was committed before it is counted.
select now() as as_of,
       count(*) as total_courses,
       count(completed_at) as completed_courses,
       count(*) - count(completed_at) as in_progress_courses,
       coalesce(sum(lessons_completed), 0) as lessons_completed,
       coalesce(round(avg(progress_percentage)), 0)::integer as average_percentage,
       coalesce(sum(progress_percentage), 0) as summed_percentages
from course_progress
where user_id = $1
