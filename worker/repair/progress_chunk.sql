-- Reads where a chunk of at most $2 progress rows ends that begins after id $1. Returns one row: last, the id of its
-- last row, and rows, how many these are; none if no rows are left.
select max(id) as last, count(*) as rows
from (select id from course_progress_all where id > $1 order by id limit $2) chunk
having count(*) > 0
