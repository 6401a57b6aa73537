-- Reads the certificates of user $1 in course $2, and what somebody wishes of them. Returns a row each.
select code, user_id, course_id, course_version, completion_number, name, title, completed_on, completed_at, issued_at,
       issue, status, reason, revoked_by_hand, wish, wish_reason
from certificate
where user_id = $1 and course_id = $2
