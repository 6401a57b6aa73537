-- Counts who has each badge. Returns a row per badge that somebody has: badge, title (of the latest award), course_id
-- (null: of no one course), learners.
select badge, (array_agg(title order by awarded_at desc))[1] as title, (array_agg(course_id))[1] as course_id,
       count(distinct user_id) as learners
from badge_award
where revoked_at is null
group by badge
order by badge
