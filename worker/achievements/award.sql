-- Awards a badge, unless that is done: $1 user, $2 badge, $3 number, $4 title, $5 description, $6 course, $7 the day that
-- made it up, $8 cause, $9 whether people are to be told. Returns a row, awarded_at; none where it was awarded before.
insert into badge_award (user_id, badge, number, title, description, course_id, earned_on, cause, fresh)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict do nothing
returning awarded_at
