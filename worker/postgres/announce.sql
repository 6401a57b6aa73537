-- Puts a course event that an effect has caused into the outbox: $1 its id, $2 the user, $3 type, $4 data, $5 time, and the
-- partition whose record caused it, $6 topic and $7 partition.
insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
values ($1, 'course', $2, $3, $4, $5, $6, $7)
