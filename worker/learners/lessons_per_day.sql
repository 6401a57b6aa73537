-- How many lessons user $1 completed on each day from $2 to $3 that are completed still; days as in time zone $4, and
-- those without any left out. Reads a range of the primary key: it grows with the user's lessons, not with the table.
select day, count(*) as lessons
from lesson_progress
cross join lateral (select (completed_at at time zone $4::text)::date as day) dated
where user_id = $1 and completed and day between $2 and $3
group by day
