-- Reads whether user $1 has completed lesson $3 of course $2. Returns one row: completed.
select exists (
    select from lesson_progress where user_id = $1 and course_id = $2 and lesson_id = $3 and completed) as completed
