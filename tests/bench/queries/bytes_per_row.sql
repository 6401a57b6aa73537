-- What a row takes on disk: table, indexes, and the room that updates leave.
select 'lesson' as kind, count(*) as rows, pg_total_relation_size('lesson_progress')::float / count(*) as bytes
from lesson_progress
union all
select 'progress', count(*), pg_total_relation_size('course_progress_all')::float / count(*)
from course_progress_all
