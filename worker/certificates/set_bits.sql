-- Revokes the credentials of certificate $1. Returns the lists in which a bit was set, as one array.
with
revoked as (
    update credential_status
    set revoked = true
    where code = $1 and not revoked
    returning list
)
select coalesce(array_agg(distinct list), '{}')
from revoked
