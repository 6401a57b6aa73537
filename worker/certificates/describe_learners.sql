-- Stores descriptions of learners: $1 users, $2 the times of the events, $3 names, $4 addresses, $5 locales, $6 zones,
-- $7 consents to mail. The latest of each user holds; of the same instant the greatest. Returns the users of the rows
-- that it changed: user_id.
with
described as (
    select distinct on (user_id) *
    from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
             as d (user_id, described_at, name, email, locale, timezone, mail)
    order by user_id, described_at desc, coalesce(name, '') desc, coalesce(email, '') desc, coalesce(locale, '') desc,
             coalesce(timezone, '') desc, mail desc
)
insert into learner (user_id, described_at, name, email, locale, timezone, mail)
select user_id, described_at, name, email, locale, timezone, mail
from described -- in the order of users, so that callers do not deadlock
order by user_id
on conflict (user_id) do update
set described_at = excluded.described_at, name = excluded.name, email = excluded.email, locale = excluded.locale,
    timezone = excluded.timezone, mail = excluded.mail
where (excluded.described_at, coalesce(excluded.name, ''), coalesce(excluded.email, ''), coalesce(excluded.locale, ''),
       coalesce(excluded.timezone, ''), excluded.mail)
    > (learner.described_at, coalesce(learner.name, ''), coalesce(learner.email, ''), coalesce(learner.locale, ''),
       coalesce(learner.timezone, ''), learner.mail)
returning user_id
