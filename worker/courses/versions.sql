-- Lists the versions of course $1, the lowest first: each as the text of one JSON object.
select (jsonb_build_object('published_at', published_at) || content)::text as version
from course_version
where course_id = $1
order by course_version.version
