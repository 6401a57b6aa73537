-- Reads certificates, the latest issued first: of user $1, in course $2, of status $3 (null: any), at most $4.
select code, user_id, course_id, course_version, completion_number, title, completed_on, issued_at, issue, status,
       status_at, reason, wish
from certificate
where ($1::uuid is null or user_id = $1) and ($2::uuid is null or course_id = $2) and ($3::text is null or status = $3)
order by issued_at desc, code
limit $4
