-- Reads the courses to be completed before course $1, by its version $2, in their order. Returns a row per course:
-- course_id.
select r.course_id::uuid
from course_version v
cross join jsonb_array_elements_text(v.content -> 'requires_courses') with ordinality as r (course_id, place)
where v.course_id = $1 and v.version = $2
order by r.place
