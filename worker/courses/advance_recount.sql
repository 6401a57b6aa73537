-- Notes how far a course is recounted.
--
-- $1-$7  course; the last user that is done; how many rows were seen, changed, became complete, are complete no longer;
--        whether it is done
update course_recount
set after_user = $2, rows_seen = rows_seen + $3, rows_changed = rows_changed + $4, completed = completed + $5,
    revoked = revoked + $6, finished_at = case when $7 then now() end
where course_id = $1
