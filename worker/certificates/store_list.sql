-- Stores list $1 as it was signed: $2 the credential, $3 when.
update status_list
set credential = $2, signed_at = $3
where list = $1
