-- Keeps the waivers of lessons, and their withdrawals (rule 8). Runs before apply.sql in the same transaction, and writes
-- lesson_waiver alone. What the progress rows then say, judge.sql computes. Returns no row.
--
-- $1-$6  per lesson: user, course, lesson, each waiver (a text, an array), last withdrawal, reason of the last waiver
insert into lesson_waiver as w (user_id, course_id, lesson_id, waived_at, withdrawn_at, reason)
select g.user_id, g.course_id, g.lesson_id,
       array(select distinct t from unnest(g.waived_at::timestamptz[]) t order by t), g.withdrawn_at, g.reason
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
         as g (user_id, course_id, lesson_id, waived_at, withdrawn_at, reason)
on conflict (user_id, course_id, lesson_id) do update set
    waived_at = keep_times(array(select distinct t from unnest(w.waived_at || excluded.waived_at) t order by t)),
    withdrawn_at = greatest(w.withdrawn_at, excluded.withdrawn_at),
    reason = case when (excluded.waived_at[cardinality(excluded.waived_at)], excluded.reason)
                       < (w.waived_at[cardinality(w.waived_at)], w.reason)
                  then w.reason else coalesce(excluded.reason, w.reason) end
