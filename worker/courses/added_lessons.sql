-- Counts the lessons that were added to the courses $2 since user $1 completed them: those that the newest version
-- requires, that the version which the learner is complete under did not, and that the learner has neither completed nor
-- was ever let off.
-- Returns a row per course that has some: course_id, added.
select p.course_id, count(*)::integer as added
from course_progress p
cross join lateral (
    select max(version) as version from course_version v where v.course_id = p.course_id
) newest
join course_lesson l on l.course_id = p.course_id and l.version = newest.version and l.required
where p.user_id = $1 and p.course_id = any($2) and p.completed_at is not null
  and p.course_version between 1 and newest.version - 1
  and not exists (
      select from (
          select l.lesson_id
          union all
          select r.replaced_id from course_replacement r where r.course_id = l.course_id and r.lesson_id = l.lesson_id
      ) same
      where exists (
              select from course_lesson held
              where held.course_id = l.course_id and held.version = p.course_version and held.required
                and held.lesson_id = same.lesson_id)
         or exists (
              select from lesson_progress done
              where done.user_id = p.user_id and done.course_id = p.course_id and done.lesson_id = same.lesson_id
                and done.completed)
         or exists (
              select from lesson_waiver w
              where w.user_id = p.user_id and w.course_id = p.course_id and w.lesson_id = same.lesson_id))
group by p.course_id
