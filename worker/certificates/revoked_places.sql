-- Returns the indexes in list $1 whose bits are set, as one array.
select coalesce(array_agg(list_index), '{}')
from credential_status
where list = $1 and revoked
