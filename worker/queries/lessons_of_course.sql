-- The lessons of course $2 as user $1 may see them: all that the user completed or un-completed, and those that at
-- least $3 learners completed among the $4 whose rows come first. No rows: the user has no progress in the course.
--
-- There is no catalog, so what nobody did is unknown. A lesson that few did may be a name that one of them made up.
-- Ordered as the learners did them, by the median position; what only the user knows comes last, by date.
-- Returns one row per lesson, with the course's total in each; of a course without any lesson, one row of nulls.
with
mine as materialized (
    select total_lessons from course_progress where user_id = $1 and course_id = $2
),
done as (
    select l.lesson_id, l.position
    from (select user_id from course_progress where course_id = $2 limit $4) p
    cross join lateral (
        select lesson_id, row_number() over (order by completed_at, lesson_id) as position
        from lesson_progress
        where user_id = p.user_id and course_id = $2 and completed
        offset 0
    ) l
    where exists (select from mine)
),
common as (
    select lesson_id, percentile_disc(0.5) within group (order by position) as position
    from done
    group by lesson_id
    having count(*) >= $3
),
own as (
    select lesson_id, completed_at, changed_at from lesson_progress where user_id = $1 and course_id = $2
)
select mine.total_lessons, lesson.lesson_id, lesson.completed_at
from mine
left join (select lesson_id, completed_at, changed_at, position from own full join common using (lesson_id)) lesson
    on true
order by position, changed_at, lesson_id
