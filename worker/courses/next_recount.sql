-- Takes the course whose recount waits longest, and keeps other workers from it until the transaction ends. Returns no
-- row when none waits.
select course_id, version, after_user
from course_recount
where finished_at is null
order by started_at
limit 1
for update skip locked
