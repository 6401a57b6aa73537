-- Lists the next learners of a course whose progress rows are recounted for a new version.
--
-- $1  course
-- $2  the last user that is done (null: none)
-- $3  how many
select user_id from course_progress_all
where course_id = $1 and ($2::uuid is null or user_id > $2)
order by user_id
limit $3
