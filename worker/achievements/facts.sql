-- Reads what is known of user $1, in one snapshot: lesson times of the first $2 lessons, percentages of the courses $3.
-- Returns one row: now, timezone (null: not known), days and utc_offsets (one each), instants, lessons, lesson_times,
-- completions, percentages, awards (records, in the order of worker/achievements/facts.py).
select now() as now,
       (select timezone from learner where user_id = $1) as timezone,
       coalesce(d.days, '{}') as days, coalesce(d.utc_offsets, '{}') as utc_offsets,
       coalesce((select array_agg(at order by at) from active_instant where user_id = $1), '{}') as instants,
       l.lessons, coalesce(l.lesson_times, '{}') as lesson_times,
       coalesce((select array_agg((course_id, completion_number, completed_at, revoked_at, revoked_cause)
                                  order by course_id, completion_number)
                 from announced_completion where user_id = $1), '{}') as completions,
       coalesce((select array_agg((course_id, progress_percentage))
                 from course_progress where user_id = $1 and course_id = any($3)), '{}') as percentages,
       coalesce((select array_agg((badge, number, title, description, course_id, earned_on, awarded_at, cause, fresh,
                                   revoked_at) order by awarded_at desc, badge, number)
                 from badge_award where user_id = $1), '{}') as awards
from (select array_agg(day order by day, utc_offset) as days, array_agg(utc_offset order by day, utc_offset) as utc_offsets
      from active_day where user_id = $1) d
cross join (select count(*) as lessons, (array_agg(completed_at order by completed_at))[:$2] as lesson_times
            from studied_lesson where user_id = $1) l
