-- Reads what course $1 consists of by its newest version, and how far its progress rows are recounted for it.
--
-- Returns one row: as_of, the database's clock, and what was committed before it is in the row; version (0: the course
-- has none), when it was published, its content as the text of the event's data; deleted_at (null: the course is
-- offered); of the recount (null where there is none): its version, when it began and ended, how many rows it has seen
-- of how many, how many of these became complete, are complete no longer.
select now() as as_of, coalesce(v.version, 0) as version, v.published_at, v.content::text as content, d.deleted_at,
       r.version as recounted_version, r.started_at, r.finished_at, r.rows_seen, r.completed, r.revoked,
       case when r.finished_at is not null then r.rows_seen
            when r.version is not null then (select count(*) from course_progress_all p where p.course_id = $1)
       end as rows
from (select) always
left join lateral (
    select * from course_version where course_id = $1 order by version desc limit 1
) v on true
left join course_deleted d
    on d.course_id = $1
    and not exists (select from course_version l where l.course_id = $1 and l.published_at > d.deleted_at)
left join course_recount r on r.course_id = $1
