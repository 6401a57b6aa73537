-- Reads the badges that the learners $1 have.
select user_id, badge, number, title, description, course_id, earned_on, awarded_at, cause, fresh, revoked_at
from badge_award
where user_id = any($1::uuid[]) and revoked_at is null
order by user_id, awarded_at, badge, number
