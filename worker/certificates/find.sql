-- Reads the certificate with code $1, and whether a later version of its course exists. Returns a row, or none.
select code, user_id, course_id, course_version, completion_number, name, title, completed_on, completed_at, issued_at,
       status, status_at, reason, revoked_by_hand, listed, issue, credential::text as credential,
       course_version > 0 and exists (
           select from course_version v
           where v.course_id = certificate.course_id and v.version > certificate.course_version) as extended
from certificate
where code = $1
