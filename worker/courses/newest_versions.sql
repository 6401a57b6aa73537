-- Reads the newest version of each of the courses $1 that has one. Returns a row per course: course_id, version, title,
-- needed (how many of its lessons complete the course).
select distinct on (course_id) course_id, version, title, needed
from course_version
where course_id = any($1)
order by course_id, version desc
