-- Lists when the versions of course $1 were published since $2, the newest first and at most $3; the newest of all is
-- always listed. Returns a row per version: version, published_at.
select version, published_at
from course_version as v
where course_id = $1
  and (published_at >= $2 or not exists (
      select from course_version as w where w.course_id = v.course_id and w.version > v.version
  ))
order by version desc
limit $3
