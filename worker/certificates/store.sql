-- Stores a certificate as it is issued, for the first time or once more: $1-$11 what it says, $12 the versions of what
-- renders it, $13 its credential. Returns its issue; nothing where the row is not the issue before.
insert into certificate as c (
    code, user_id, course_id, course_version, completion_number, name, title, completed_on, completed_at, issued_at,
    issue, status, status_at, rendered_with, credential)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'valid', $10, $12, $13)
on conflict (user_id, course_id, course_version) do update
set completion_number = excluded.completion_number, name = excluded.name, title = excluded.title,
    completed_on = excluded.completed_on, completed_at = excluded.completed_at, issued_at = excluded.issued_at,
    issue = excluded.issue, status = 'valid', status_at = excluded.status_at, reason = null, revoked_by_hand = false,
    wish = null, wish_reason = null, rendered_with = excluded.rendered_with, credential = excluded.credential
where c.code = excluded.code and c.issue = excluded.issue - 1
returning issue
