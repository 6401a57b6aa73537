-- Stores which lessons of a course count as completed where another is, by all its versions (rule 8): A replaces B and B
-- replaces C, so A counts where C is.
--
-- Reads course_version, inserts into course_replacement.
-- $1  course
with recursive
replaced as (
    select distinct l ->> 'lesson_id' as lesson_id, r.replaced_id
    from course_version v
    cross join jsonb_array_elements(v.content -> 'lessons') as l
    cross join jsonb_array_elements_text(l -> 'replaces') as r (replaced_id)
    where v.course_id = $1
),
closed as (
    select * from replaced
    union
    select c.lesson_id, r.replaced_id from closed c join replaced r on r.lesson_id = c.replaced_id
)
insert into course_replacement (course_id, lesson_id, replaced_id)
select $1, lesson_id, replaced_id from closed where lesson_id <> replaced_id
on conflict do nothing
