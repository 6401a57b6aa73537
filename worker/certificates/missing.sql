-- Finds completions that are owed a certificate and have none that is valid, or that somebody has revoked: with $1 also
-- those without a version, older than $2 seconds, at most $3; of the progress rows whose ids are above $4, up to $5 (null:
-- of all).
-- Returns user_id, course_id, course_version (what the course event says; until it comes, what the row says),
-- completion_number, completed_at; seen, whether the course event has come; planned, and reason, why that has failed;
-- status, of a certificate that is not valid.
select p.user_id, p.course_id, v.course_version, p.completion_number, p.completed_at, a.completed_at is not null as seen,
       e.key is not null as planned, e.reason, c.status
from course_progress p
left join announced_completion a using (user_id, course_id, completion_number)
left join lateral (
    select t.course_version, t.recorded_at
    from transition t
    where t.user_id = p.user_id and t.course_id = p.course_id and t.completion_number = p.completion_number
      and t.type = 'CourseCompleted'
    order by t.recorded_at
    limit 1
) t on true
cross join lateral (select coalesce(a.course_version, t.course_version, p.course_version) as course_version) v
left join certificate c
    on c.user_id = p.user_id and c.course_id = p.course_id and c.course_version = v.course_version
left join effect e on e.kind = 'certificate' and e.key = p.user_id::text || '/' || p.course_id
where p.completed_at is not null
  and ($4::bigint is null or p.id > $4 and p.id <= $5::bigint)
  and coalesce(t.recorded_at, p.updated_at) < now() - make_interval(secs => $2)
  and (v.course_version > 0 or $1)
  and (c.code is null or c.status <> 'valid' and not c.revoked_by_hand)
limit $3
