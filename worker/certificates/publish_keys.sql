-- Stores public keys that are not there yet: $1 ids, each once, $2 the keys.
insert into signing_key (key_id, public_key)
select key_id, public_key
from unnest($1::text[], $2::text[]) as k (key_id, public_key)
on conflict (key_id) do nothing
