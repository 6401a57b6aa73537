-- Reads what user $1 did with the lesson $3[n] of the course $2[n], and with each that it replaces, by any version
-- (rule 8).
--
-- Returns a row per lesson asked for and lesson that counts as it: course_id, lesson_id; same_id, which is the lesson
-- itself or one that it replaces; completed, whether that one is, with completed_at and changed_at (null: no row);
-- waived_at, its last waiver since the last reset (null: it is not waived).
select named.course_id, named.lesson_id, same.same_id, coalesce(d.completed, false) as completed, d.completed_at,
       d.changed_at, w.waived_at
from (select distinct course_id, lesson_id from unnest($2::uuid[], $3::text[]) as asked (course_id, lesson_id)) named
cross join lateral (
    select named.lesson_id as same_id
    union all
    select r.replaced_id from course_replacement r
    where r.course_id = named.course_id and r.lesson_id = named.lesson_id
) same
left join course_progress p on p.user_id = $1 and p.course_id = named.course_id
left join lateral (
    select l.completed, l.completed_at, l.changed_at from lesson_progress l
    where l.user_id = p.user_id and l.course_id = p.course_id and l.lesson_id = same.same_id
      and l.changed_at > coalesce(p.reset_at, '-infinity')
    offset 0 -- a fence: looked up by the whole key
) d on true
left join lateral (
    select last as waived_at
    from lesson_waiver w
    cross join lateral (
        select max(t) as last from unnest(w.waived_at) t where t > coalesce(p.reset_at, '-infinity')
    ) counting
    where w.user_id = p.user_id and w.course_id = p.course_id and w.lesson_id = same.same_id
      and last >= coalesce(w.withdrawn_at, '-infinity')
    offset 0 -- a fence, as above
) w on true
