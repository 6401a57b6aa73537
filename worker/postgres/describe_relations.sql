-- Reads from the system catalog how docs/schema.sql describes each table and view of the current schema, except the
-- bookkeeping of migrations.
--
-- Returns a row per relation, tables first, in the order in which they were made: name; comment; options; definition,
-- of a view; columns, a JSON array of [definition, comment], of a table; constraints; indexes; grants.
select c.relname::text as name,
       obj_description(c.oid, 'pg_class') as comment,
       array_to_string(c.reloptions, ', ') as options,
       case c.relkind when 'v' then pg_get_viewdef(c.oid, true) end as definition,
       (select jsonb_agg(jsonb_build_array(concat_ws(' ',
                   quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                   case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation end,
                   case when a.attnotnull then 'not null' end,
                   case when a.attidentity = 'a' then 'generated always as identity' end,
                   case when a.attgenerated = 'v' then 'generated always as (' || e.expression || ') virtual'
                        else 'default ' || e.expression end), col_description(c.oid, a.attnum)) order by a.attnum)
        from pg_attribute a
        join pg_type t on t.oid = a.atttypid
        left join lateral (
            select pg_get_expr(adbin, adrelid, true) as expression from pg_attrdef
            where adrelid = c.oid and adnum = a.attnum) e on true
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       array(select case when contype = 'c' then format('constraint %I ', conname) else '' end
                    || pg_get_constraintdef(oid, true)
             from pg_constraint where conrelid = c.oid and contype <> 'n'
             order by contype = 'c', oid) as constraints,
       array(select pg_get_indexdef(indexrelid, 0, true) from pg_index
             where indrelid = c.oid and not exists (select from pg_constraint where conindid = indexrelid)
             order by indexrelid) as indexes,
       array(select format('grant %s on %I to %I', string_agg(privilege, ', ' order by privilege), c.relname, rolname)
             from (
                 select grantee, lower(privilege_type) as privilege from aclexplode(c.relacl)
                 union all
                 select acl.grantee, format('%s (%s)', lower(acl.privilege_type),
                                            string_agg(quote_ident(attname), ', ' order by attnum))
                 from pg_attribute
                 cross join lateral aclexplode(attacl) acl
                 where attrelid = c.oid
                 group by acl.grantee, acl.privilege_type
             ) granted
             join pg_roles r on r.oid = grantee
             where grantee <> c.relowner
             group by rolname
             order by rolname desc) as grants
from pg_class c
where c.relnamespace = current_schema::regnamespace and c.relkind in ('r', 'v') and c.relname <> 'schema_migrations'
order by c.relkind = 'v', c.oid
