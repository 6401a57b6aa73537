-- Reads what counts of the lessons, of all progress rows or those of user $1, of course $2.
--
-- Returns a row per lesson row and per waived lesson, and one where a progress row has neither, in the order of users
-- and courses: columns of the progress row; of the lesson row (null: there is none); of the waiver (null: none).
select p.user_id, p.course_id, p.total_lessons, p.started_at, p.last_accessed_at, p.utc_offset, f.*
from course_progress p
left join lateral (
    select l.lesson_id, l.completed, l.completed_at, l.changed_at, l.uncompleted_at, l.completions,
           null::timestamptz[] as waived_at, null::timestamptz as withdrawn_at, null::text as reason
    from lesson_progress l
    where l.user_id = p.user_id and l.course_id = p.course_id and l.changed_at > coalesce(p.reset_at, '-infinity')
    union all
    select w.lesson_id, null, null, null, null, null,
           array(select t from unnest(w.waived_at) t where t > coalesce(p.reset_at, '-infinity') order by t),
           case when w.withdrawn_at > coalesce(p.reset_at, '-infinity') then w.withdrawn_at end, w.reason
    from lesson_waiver w
    where w.user_id = p.user_id and w.course_id = p.course_id
) f on true
where ($1::uuid is null or p.user_id = $1) and ($2::uuid is null or p.course_id = $2)
order by p.user_id, p.course_id
