-- Counts the lessons that user $1 completed on each of some days, and that are completed still. The days lie between the
-- instants $2, in order: the first begins with the first of them, the last ends before the last. Reads a range of the
-- primary key, and at most $3 lessons of it: its cost grows with the user's lessons up to there, not with the table.
-- Returns a row per day that has lessons: number, of the day, from 1; lessons.
select number, count(*) as lessons
from (select completed, completed_at from lesson_progress where user_id = $1 limit $3) lesson
cross join lateral (select width_bucket(completed_at, $2::timestamptz[]) as number) dated
where completed and number between 1 and cardinality($2::timestamptz[]) - 1
group by number
