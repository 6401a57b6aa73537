-- Lists the courses whose progress rows are recounted for their newest versions, or were so within $1 seconds: $2 at
-- most, first those under way, then those that ended last. Returns a row per course: course_id, title, version,
-- rows_seen, rows_expected (null: not counted yet), started_at, finished_at (null: under way).
select r.course_id, v.title, r.version, r.rows_seen, r.rows_expected, r.started_at, r.finished_at
from course_recount r
left join course_version v using (course_id, version)
where r.finished_at is null or r.finished_at > now() - make_interval(secs => $1)
order by r.finished_at is not null, r.finished_at desc, r.started_at
limit $2
