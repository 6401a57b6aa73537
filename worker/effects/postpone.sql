-- Leaves the effect of kind $1 and key $2 for later: until $3, or without that for $4 seconds. $5 is the reason, $6 how
-- often it has failed.
update effect
set due_at = coalesce($3, now() + make_interval(secs => $4)), reason = $5, attempts = $6
where kind = $1 and key = $2
