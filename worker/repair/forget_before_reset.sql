-- Deletes the lesson rows of progress row $1 that count no longer because of its reset (rule 6). Returns no row.
delete from lesson_progress l using course_progress_all p
where p.id = $1 and l.user_id = p.user_id and l.course_id = p.course_id and l.changed_at <= p.reset_at
