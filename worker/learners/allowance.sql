-- Reads what user $1 has stored of the courses $2[n] and their lessons $3[n] (null: the course alone).
--
-- $4 the most courses and $5 the most lessons of a course that are worth counting: index entries are counted up to
-- there, and only where a course, or a lesson, is new to the user. A course that was reset counts too.
-- Returns a row per course: course_id; known, whether the user has it; courses, how many the user has (null: all of
-- these are known); new_lessons, those named that the user does not have; lessons, how many the user has in this course
-- (null: none is new).
with course as materialized (
    select course_id, exists (
        select from course_progress_all p where p.user_id = $1 and p.course_id = named.course_id) as known
    from (select distinct course_id from unnest($2::uuid[]) as course_id) named
),
lesson as materialized (
    select course_id, array_agg(distinct lesson_id) as new_lessons
    from unnest($2::uuid[], $3::text[]) as named (course_id, lesson_id)
    where lesson_id is not null and not exists (
        select from lesson_progress l
        where l.user_id = $1 and l.course_id = named.course_id and l.lesson_id = named.lesson_id)
    group by course_id
)
select course_id, known, coalesce(new_lessons, '{}') as new_lessons,
       case when not (select bool_and(known) from course) then
           (select count(*) from (select from course_progress_all where user_id = $1 limit $4) row) end as courses,
       case when new_lessons is not null then (
           select count(*) from (
               select from lesson_progress l where l.user_id = $1 and l.course_id = course.course_id limit $5) row) end
           as lessons
from course left join lesson using (course_id)
