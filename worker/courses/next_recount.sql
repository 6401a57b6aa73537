-- Takes the course whose recount waits longest, and keeps other workers from it until the transaction ends. Returns no
-- row when none waits. `waiting` is how many wait, this one too.
select course_id, version, after_user, rows_expected,
       (select count(*) from course_recount where finished_at is null) as waiting
from course_recount
where finished_at is null
order by started_at
limit 1
for update skip locked
