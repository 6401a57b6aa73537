-- Reads the lessons of version $2 of course $1 that require others, or that others require. Returns a row per lesson, in
-- no order: lesson_id, title (null: it has none), requires (null: none).
with lesson as materialized (
    select l.lesson_id, l.title, l.requires
    from course_version v
    cross join jsonb_to_recordset(v.content -> 'lessons') as l (lesson_id text, title text, requires text[])
    where v.course_id = $1 and v.version = $2
)
select lesson_id, title, requires
from lesson
where requires is not null or lesson_id in (select unnest(requires) from lesson)
