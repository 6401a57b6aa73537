-- How long a course event has waited to be published.

-- migrate:up

-- Read by the worker's metric of the outbox's age; no rule uses it. Rows from before have the migration's time.
alter table outbox add column created_at timestamptz not null default now();
-- migrate:down
