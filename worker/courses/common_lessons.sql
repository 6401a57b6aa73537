-- Reads which lessons of course $1 at least $2 learners completed, among the $3 learners whose rows come first,
-- so the answer reveals no single learner, and omits a name that few learners made up. There is no catalog.
-- $4 is the most lessons of a learner that are read, which of them the primary key decides, and $5 the most lessons
-- that are returned, those of the most learners: so no learner decides what it costs.
-- Returns a row per lesson, in the order in which learners did them, by the median position.
with
done as (
    select l.lesson_id, l.position
    from (select user_id from course_progress where course_id = $1 limit $3) p
    cross join lateral (
        select lesson_id, row_number() over (order by completed_at, lesson_id) as position
        from (
            select lesson_id, completed_at, completed from lesson_progress
            where user_id = p.user_id and course_id = $1
            limit $4
        ) first
        where completed
        offset 0
    ) l
),
common as (
    select lesson_id, percentile_disc(0.5) within group (order by position) as median
    from done
    group by lesson_id
    having count(*) >= $2
    order by div(count(*), $2) desc, lesson_id
    limit $5
)
select lesson_id from common order by median, lesson_id
