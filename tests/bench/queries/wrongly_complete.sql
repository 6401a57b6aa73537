-- How many rows of course $1 are complete and must not be, or the reverse, where complete is who has completed all the
-- lessons $2; and how many version $3 has not judged. It asks no function of ours.
select count(*) filter (where (p.completed_at is not null) is distinct from done) as wrong,
       count(*) filter (where p.judged_by <> $3) as missed
from course_progress_all p
cross join lateral (
    select count(*) = cardinality($2::text[]) as done
    from lesson_progress l
    where l.user_id = p.user_id and l.course_id = p.course_id and l.completed and l.lesson_id = any($2)
) d
where p.course_id = $1
