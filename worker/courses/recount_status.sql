-- Lists how far the progress rows of each course are recounted for its newest version, those under way first.
select * from course_recount
order by finished_at is not null, started_at desc
