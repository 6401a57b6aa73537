-- Reads the lessons of version $2 of course $1. Returns a row per lesson, in the order of the course: lesson_id, title
-- and href (null: it has none), required, and the earlier lessons whose completion counts as this one's, in replaces.
select l.lesson_id, l.title, l.href, coalesce(l.required, true) as required,
       array(select r.replaced_id from course_replacement r
             where r.course_id = v.course_id and r.lesson_id = l.lesson_id
             order by r.replaced_id) as replaces
from course_version v
cross join rows from (
    jsonb_to_recordset(v.content -> 'lessons') as (lesson_id text, title text, href text, required boolean)
) with ordinality as l (lesson_id, title, href, required, position)
where v.course_id = $1 and v.version = $2
order by l.position
