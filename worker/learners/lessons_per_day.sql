-- Counts, per day from $2 to $3, the lessons that user $1 completed on it and that are completed still. $4 is the time
-- zone that the days are of. Reads a range of the primary key, and at most $5 lessons of it: its cost grows with the
-- user's lessons up to there, not with the table. Returns a row per day that has lessons: day, lessons.
select day, count(*) as lessons
from (select completed, completed_at from lesson_progress where user_id = $1 limit $5) lesson
cross join lateral (select (completed_at at time zone $4::text)::date as day) dated
where completed and day between $2 and $3
group by day
