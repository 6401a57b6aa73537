-- Reads what a worker must know of courses to count lessons by their newest versions.
--
-- $1  courses
--
-- Returns a row per course that has a version, and at least one row, which has no course where none has: epoch; the
-- newest version, how many lessons it needs and which are required; since when it is in force (null: it is the only
-- one); whether a lesson of the course replaces another.
select e.epoch, c.*
from known_epoch e
left join lateral (
    select v.course_id, v.version, v.needed,
           array(select lesson_id from course_lesson l
                 where l.course_id = v.course_id and l.version = v.version and l.required) as required,
           (select max(published_at) from course_version o
            where o.course_id = v.course_id and o.version > (
                select min(version) from course_version m where m.course_id = v.course_id)) as in_force,
           exists (select from course_replacement r where r.course_id = v.course_id) as has_replacements
    from (
        select distinct on (course_id) course_id, version, needed
        from course_version
        where course_id = any($1)
        order by course_id, version desc
    ) v
) c on true
