-- Compares the progress rows of learners of a course with what its versions make of them, in this snapshot.
--
-- $1  course
-- $2  users
--
-- Returns one row of counts: learners whose rows readers see; who would complete; be revoked; stay complete under an
-- earlier version; have a higher, a lower percentage.
select count(*) as learners,
       count(*) filter (where p.completed_at is null and j.completed_at is not null) as completed,
       count(*) filter (where p.completed_at is not null and j.completed_at is null) as revoked,
       count(*) filter (where j.completed_at is not null and j.course_version < j.judged_by) as grandfathered,
       count(*) filter (where new_percentage > p.progress_percentage) as raised,
       count(*) filter (where new_percentage < p.progress_percentage) as lowered
from judge_progress($2, array_fill($1::uuid, array[cardinality($2::uuid[])])) j
join course_progress_all p on p.id = j.id and p.last_accessed_at is not null
-- Rule 3.
cross join lateral (
    select case when j.lessons_completed >= j.total_lessons then 100
                else least(99, (200 * j.lessons_completed + j.total_lessons) / (2 * j.total_lessons))
           end as new_percentage)
