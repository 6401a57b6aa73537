-- Stores a version of a course, whose content never changes.
--
-- Reads and writes course_version and course_lesson.
-- $1-$8  course, version, when it was published, policy, how many lessons are needed, title, content, its digest
-- $9-$10 per lesson, in the order of the course: its id, whether it is required
--
-- Returns `new`, `known` (nothing was written) or `conflict` (another content is known: nothing was written).
with
version_inserted as (
    insert into course_version (course_id, version, published_at, policy, needed, title, content, digest)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict do nothing
    returning course_id, version
),
lessons_inserted as (
    insert into course_lesson (course_id, version, position, required, lesson_id)
    select v.course_id, v.version, l.position, l.required, l.lesson_id
    from version_inserted v
    cross join unnest($9::text[], $10::boolean[]) with ordinality as l (lesson_id, required, position)
)
select case when exists (select from version_inserted) then 'new'
            when (select digest from course_version where course_id = $1 and version = $2) = $8 then 'known'
            else 'conflict' end
