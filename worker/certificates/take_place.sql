-- Takes place $2 of the newest list for a credential of certificate $1. Returns list and index, or no row: there is no
-- list yet, or the place is taken.
insert into credential_status (list, list_index, code)
select max(list), $2, $1
from status_list
having max(list) is not null
on conflict (list, list_index) do nothing
returning list, list_index
