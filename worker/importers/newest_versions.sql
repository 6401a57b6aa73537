-- Lists the newest version of each of the courses $1 that has one: its number, and its content as the text of a JSON object.
select distinct on (course_id) version, content::text as content
from course_version
where course_id = any ($1::uuid[])
order by course_id, version desc
