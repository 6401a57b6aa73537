-- Notes how many progress rows course $1 has, before those are recounted for its version $2. It locks the note only when
-- they are counted, because who publishes a version waits for that lock.
update course_recount
set rows_expected = (select count(*) from course_progress_all where course_id = $1)
where course_id = $1 and version = $2
