-- Reads which of the courses $2 user $1 has not completed. Returns a row per course: course_id, title (null: it has no
-- version, or its newest one has no title).
select c.course_id, v.title
from (select distinct course_id from unnest($2::uuid[]) as course_id) c
left join lateral (
    select title from course_version o where o.course_id = c.course_id order by version desc limit 1
) v on true
where not exists (
    select from course_progress p where p.user_id = $1 and p.course_id = c.course_id and p.completed_at is not null)
