-- Reads from the system catalog how docs/schema.sql describes each composite type of the current schema.
--
-- Returns a row per type, in the order in which they were made: comment; definition.
select obj_description(t.oid, 'pg_type') as comment,
       format('create type %s as (%s)', t.typname,
              (select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
               from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)) as definition,
       '{}'::text[] as grants
from pg_type t
join pg_class c on c.oid = t.typrelid and c.relkind = 'c'
where t.typnamespace = current_schema::regnamespace
order by t.oid
