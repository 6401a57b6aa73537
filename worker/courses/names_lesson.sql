-- Returns a row if a version of course $1 names lesson $2, else none.
select 1 from course_lesson where course_id = $1 and lesson_id = $2 limit 1
