-- Lists, or does not list ($3), the certificate with code $1 of user $2. Returns a row if there is one.
update certificate set listed = $3 where code = $1 and user_id = $2 returning now() as as_of
