-- Progress rows as tests/bench/learners.py names them: $1 their number, $2 lessons of a course, $3 of them completed,
-- $4 rows of a user, $5 the name of the users, $6 the number of courses, $7 the version that the rows are counted by.
insert into course_progress_all (user_id, course_id, lessons_completed, total_lessons, total_at, last_lesson_id,
                                 last_lesson_at, started_at, last_accessed_at, course_version, judged_by)
select md5($5::text || '-' || n / $4)::uuid, md5('course-' || (n / $4 * 17 + n % $4) % $6)::uuid, $3, $2, latest,
       'lesson-' || lpad(($3 - 1)::text, 29, '0'), latest, '2026-01-01'::timestamptz, latest, $7, $7
from generate_series(0, $1::integer - 1) n
cross join (select '2026-01-01'::timestamptz + ($3::integer - 1) * interval '1 hour' as latest) t
where $2::integer > 0 and $4::integer > 0 and $6::integer > 0
