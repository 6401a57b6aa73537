-- Looks up the courses $1[n] and their lessons $2[n] (null: the course alone).
--
-- Returns a row per place n, in order: any_version, whether any course has a version; the newest version of this course
-- (0: it has none); names_lesson, whether one of its versions names the lesson, as a lesson or as one that is replaced.
select exists (select from course_version) as any_version,
       coalesce((select max(version) from course_version v where v.course_id = named.course_id), 0) as version,
       lesson_id is null
       or exists (select from course_lesson l where l.course_id = named.course_id and l.lesson_id = named.lesson_id)
       or exists (select from course_replacement r
                  where r.course_id = named.course_id and r.replaced_id = named.lesson_id) as names_lesson
from unnest($1::uuid[], $2::text[]) with ordinality as named (course_id, lesson_id, place)
order by place
