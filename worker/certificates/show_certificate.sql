-- Reads certificate $1, but its credential, and why what is planned for it has failed. Returns a row, or none.
select c.code, c.user_id, c.course_id, c.course_version, c.completion_number, c.name, c.title, c.completed_on,
       c.completed_at, c.issued_at, c.issue, c.status, c.status_at, c.reason, c.revoked_by_hand, c.listed, c.wish,
       c.wish_reason, c.rendered_with, e.reason as waits_for
from certificate c
left join effect e on e.kind = 'certificate' and e.key = c.user_id::text || '/' || c.course_id
where c.code = $1
