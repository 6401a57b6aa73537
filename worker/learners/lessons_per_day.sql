-- Counts, per day from $2 to $3, the lessons that user $1 completed on it and that are completed still. $4 is the time
-- zone that the days are of. Reads a range of the primary key: its cost grows with the user's lessons, not with the
-- table. Returns a row per day that has lessons: day, lessons.
select day, count(*) as lessons
from lesson_progress
cross join lateral (select (completed_at at time zone $4::text)::date as day) dated
where user_id = $1 and completed and day between $2 and $3
group by day
