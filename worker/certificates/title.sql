-- Reads the title of version $2 of course $1, or for version 0, of which nobody has told, that of the newest with one.
select title
from course_version
where course_id = $1 and title is not null and (version = $2 or $2 = 0)
order by version desc
limit 1
