-- Lists the lessons of a course's newest known version that another does not have any more.
--
-- $1  course
-- $2  the ids of the other version's lessons, and of those that it replaces
--
-- Returns a row per lesson, in the order of the course: lesson_id, position, title, how many learners completed it.
select l.lesson_id, l.position, v.content -> 'lessons' -> (l.position - 1) ->> 'title' as title,
       (select count(*) from course_progress_all p
        join lesson_progress done on done.user_id = p.user_id and done.course_id = p.course_id
            and done.lesson_id = l.lesson_id and done.completed
        where p.course_id = $1) as completions
from course_version v
join course_lesson l using (course_id, version)
where v.course_id = $1 and v.version = (select max(version) from course_version where course_id = $1)
  and l.lesson_id <> all ($2::text[])
order by l.position
