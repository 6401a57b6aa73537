-- Has the progress rows of a course recounted for its newest version, from the first row on.
--
-- Reads course_version, writes course_recount.
-- $1  course
insert into course_recount (course_id, version)
select course_id, max(version) from course_version where course_id = $1 group by course_id
on conflict (course_id) do update
set version = excluded.version, after_user = null, rows_seen = 0, rows_expected = null, rows_changed = 0, completed = 0,
    revoked = 0, started_at = now(), finished_at = null
