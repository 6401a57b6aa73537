-- Counts the effects of each kind of $1 that have failed and wait, up to $2. Returns kind, waiting.
select kind, (select count(*) from (select from effect e where e.kind = k.kind and reason is not null limit $2)) as waiting
from unnest($1::text[]) as k (kind)
