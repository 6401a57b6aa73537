-- Comments say what is true since workers notice lost commits and publish for partitions that no worker owns.

-- migrate:up

comment on column outbox.created_at is
    'when it was inserted: the outbox''s age, and whether the row has waited so long that any worker publishes it';
comment on column course_progress_all.completion_number is
    'the number of the latest completion (rule 7); a recovery skips numbers, also of a course never completed';
comment on table consumed_offset is
    'The stored offset of each partition: the tables reflect every record before it. It moves in the transaction that '
    'writes them, so it is the truth. The offset committed to Kafka serves tools that show lag. Ahead of this one, it '
    'tells a worker that PostgreSQL has lost commits.';
-- migrate:down
