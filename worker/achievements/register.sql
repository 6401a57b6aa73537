-- Stores the rules of badges: $1 badges, $2 rules. One that differs counts from now, and is tried on everybody again.
-- Returns a row per badge: badge, scanned_at (null: not everybody was looked at), is_new.
with
declared as (
    select * from unnest($1::text[], $2::jsonb[]) as d (badge, rule)
),
written as (
    insert into badge_rule as r (badge, rule)
    select badge, rule from declared order by badge
    on conflict (badge) do update
    set rule = excluded.rule, since = now(), after_user = null, scanned_at = null
    where r.rule <> excluded.rule
    returning badge
)
select d.badge, case when w.badge is null then r.scanned_at end as scanned_at, w.badge is not null as is_new
from declared d
left join written w using (badge)
left join badge_rule r using (badge)
