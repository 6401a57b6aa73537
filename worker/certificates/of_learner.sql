-- Reads the certificates of user $1, in the courses $2 (null: in all), the latest issued first; at most $3.
-- Returns a row per certificate. Where there is none, one row with a null code, because as_of is always returned: the
-- database's clock, and what was committed before it is in the rows.
select now() as as_of, found.*
from (select) always
left join (
    select code, user_id, course_id, course_version, completion_number, name, title, completed_on, completed_at,
           issued_at, status, status_at, reason, revoked_by_hand, listed, issue, credential::text as credential,
           course_version > 0 and exists (
               select from course_version v
               where v.course_id = certificate.course_id and v.version > certificate.course_version) as extended
    from certificate
    where user_id = $1 and ($2::uuid[] is null or course_id = any($2))
    order by issued_at desc, code
    limit $3
) found on true
order by issued_at desc, code
