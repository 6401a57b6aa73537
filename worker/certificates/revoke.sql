-- Makes certificate $1 not valid: $2 status, $3 reason, $4 whether somebody revoked it by hand, $5 since when, unless it
-- is not valid already. Done by hand, nothing more is wished of it.
update certificate
set status = $2, reason = $3, revoked_by_hand = $4, status_at = case when status = 'valid' then $5 else status_at end,
    wish = case when not $4 then wish end, wish_reason = case when not $4 then wish_reason end
where code = $1
