-- Reads the lessons of version $2 of course $1. Returns a row per lesson, in the order of the course: lesson_id, title,
-- href and section (null: it has none), required, the lessons to be completed before it, in requires, and the earlier
-- lessons whose completion counts as this one's, in replaces.
select l.lesson_id, l.title, l.href, l.section, coalesce(l.required, true) as required,
       coalesce(l.requires, '{}') as requires,
       array(select r.replaced_id from course_replacement r
             where r.course_id = v.course_id and r.lesson_id = l.lesson_id
             order by r.replaced_id) as replaces
from course_version v
cross join rows from (
    jsonb_to_recordset(v.content -> 'lessons') as (
        lesson_id text, title text, href text, section text, required boolean, requires text[])
) with ordinality as l (lesson_id, title, href, section, required, requires, position)
where v.course_id = $1 and v.version = $2
order by l.position
