-- Returns the id that ends the next $2 progress rows after id $1; null: there are none.
select max(id)
from (select id from course_progress_all where id > $1 order by id limit $2) chunk
