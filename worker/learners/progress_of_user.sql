-- Reads a page of user $1's courses, the latest accessed first.
--
-- $2 whether completed courses are among them, $6 whether the others are; $3 and $4 the last_accessed_at and the course
-- that the page begins after (null: the first page); $5 the most courses; $7 only these courses (null: all).
-- $8 is the most completed lessons of all of them together: the first courses have theirs, the first completed ones of
-- each, and the others have what is left. So neither the learner's courses nor their lessons decide what an answer
-- costs. Returns a row per course. Where there is no progress, one row with null ids, because as_of is always returned:
-- the database's clock, and what was committed before it is in the rows.
select now() as as_of, user_id, course_id, lessons_completed, total_lessons, progress_percentage,
       array(select l.lesson_id from lesson_progress l
             where l.user_id = cp.user_id and l.course_id = cp.course_id and l.completed
             order by l.completed_at, l.lesson_id
             limit greatest(0, $8::bigint - cp.lessons_before)) as completed_lessons,
       last_lesson_id, last_accessed_at, started_at, completed_at, completion_number
from (select) always
left join (
    select page.*, coalesce(sum(lessons_completed) over (
               order by last_accessed_at desc, course_id rows between unbounded preceding and 1 preceding), 0)
               as lessons_before
    from (
        select * from course_progress
        where user_id = $1 and ($2 or completed_at is null) and ($6 or completed_at is not null)
            and ($3::timestamptz is null or last_accessed_at < $3 or (last_accessed_at = $3 and course_id > $4::uuid))
            and ($7::uuid[] is null or course_id = any($7))
        order by last_accessed_at desc, course_id
        limit $5
    ) page
) cp on true
order by last_accessed_at desc, course_id
