-- Whether user $1 has completed, in course $2, lesson $3.
select exists (
    select from lesson_progress where user_id = $1 and course_id = $2 and lesson_id = $3 and completed) as completed
