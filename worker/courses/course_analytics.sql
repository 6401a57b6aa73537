-- Counts exactly what the learners of course $1 have done; worker/courses/anonymity.py decides which may be shown.
--
-- Reads the course's progress rows by its index and each learner's lesson rows by the primary key, however large the
-- tables are: `offset 0` keeps the planner from joining them in another way.
-- $2 and $3 the first and the last day to count (UTC); $4 the ends of the buckets of time to complete, in seconds; $5
-- the fewest learners for which a lesson, or a day, is counted. $6 is the most lessons of a learner that are read,
-- which of them the primary key decides, and $7 the most lessons that are returned, those of the most learners: so no
-- learner decides what it costs.
-- Returns one row: as_of, the database's clock; learners; completed; seconds, a count per bucket and one for longer
-- times; lessons and lesson_learners, in the order of the median position at which learners completed them, and
-- more_lessons, how many are left out; days and day_learners, without idle days. Lessons of the same median stand in
-- the order of their counts in steps of $5, because the order itself would reveal counts.
with
learner as materialized (
    select row_number() over () as learner, user_id, started_at, completed_at,
           (last_accessed_at at time zone 'UTC')::date as last_day
    from course_progress
    where course_id = $1
),
done as materialized (
    select p.learner, l.lesson_id, l.position, l.day
    from learner p
    cross join lateral (
        select lesson_id, row_number() over (order by completed_at, lesson_id) as position,
               (completed_at at time zone 'UTC')::date as day
        from (
            select lesson_id, completed_at, completed from lesson_progress
            where user_id = p.user_id and course_id = $1
            limit $6
        ) first
        where completed
        offset 0
    ) l
),
-- Positions are few: counting them first spares sorting every lesson row for the median.
at_position as (
    select lesson_id, position, count(*) as learners from done group by lesson_id, position
),
up_to_position as (
    select lesson_id, position, sum(learners) over upwards as so_far,
           sum(learners) over (partition by lesson_id) as learners
    from at_position
    window upwards as (partition by lesson_id order by position)
),
lesson as (
    select lesson_id, max(learners) as learners, min(position) filter (where 2 * so_far >= learners) as median
    from up_to_position
    group by lesson_id
    having max(learners) >= $5
),
shown as (
    select * from lesson order by div(learners, $5) desc, median, lesson_id limit $7
),
day as (
    select day, count(*) as learners
    from (select learner, day from done where day between $2 and $3
          union
          select learner, last_day from learner where last_day between $2 and $3) active
    group by day
    having count(*) >= $5
),
bucket as (
    select width_bucket(extract(epoch from completed_at - started_at)::float8, $4::float8[]) as bucket,
           count(*) as learners
    from learner
    where completed_at is not null
    group by bucket
)
select now() as as_of,
       (select count(*) from learner) as learners,
       (select count(*) from learner where completed_at is not null) as completed,
       array(select coalesce(b.learners, 0)
             from generate_series(0, cardinality($4)) n left join bucket b on b.bucket = n order by n) as seconds,
       array(select lesson_id from shown order by median, div(learners, $5) desc, lesson_id) as lessons,
       array(select learners::bigint from shown order by median, div(learners, $5) desc, lesson_id) as lesson_learners,
       (select count(*) from lesson) - (select count(*) from shown) as more_lessons,
       array(select day from day order by day) as days,
       array(select learners from day order by day) as day_learners
