-- The last id of a chunk of $2 progress rows after id $1, and how many these are. No row: there are none.
select max(id) as last, count(*) as rows
from (select id from course_progress_all where id > $1 order by id limit $2) chunk
having count(*) > 0
