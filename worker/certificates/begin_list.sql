-- Begins the next list if the newest has $1 places taken, or there is none. Returns its number, or null: nothing was to
-- be done, or another transaction has begun it.
with
newest as (select coalesce(max(list), 0) as list from status_list)
insert into status_list (list)
select newest.list + 1
from newest
where newest.list = 0 or (select count(*) from credential_status s where s.list = newest.list) >= $1
on conflict (list) do nothing
returning list
