-- Reads the lessons of the courses $2 that user $1 need not complete. Returns a row per lesson: course_id, lesson_id.
select w.course_id, w.lesson_id
from course_progress p
join lesson_waiver w on w.user_id = p.user_id and w.course_id = p.course_id
where p.user_id = $1 and p.course_id = any($2)
  and (select max(at) from unnest(w.waived_at) at where at > coalesce(p.reset_at, '-infinity'))
      >= coalesce(w.withdrawn_at, '-infinity')
