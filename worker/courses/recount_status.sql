-- Lists how far the progress rows of each course are recounted for its newest version, those under way first.
select r.*, (select count(*) from course_progress_all p where p.course_id = r.course_id) as rows
from course_recount r
order by finished_at is not null, started_at desc
