-- Revokes the credentials of certificate $1, except the one in list $2 at index $3 (null: none is kept). Returns the
-- lists in which a bit was set, as one array.
with
revoked as (
    update credential_status
    set revoked = true
    where code = $1 and not revoked and (list, list_index) is distinct from ($2::integer, $3::integer)
    returning list
)
select coalesce(array_agg(distinct list), '{}')
from revoked
