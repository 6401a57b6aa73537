-- Reads from the system catalog how docs/schema.sql describes each function of the current schema.
--
-- Returns a row per function, in the order in which they were made: comment; definition; grants.
select obj_description(p.oid, 'pg_proc') as comment,
       replace(case when a.aggfnoid is null then pg_get_functiondef(p.oid)
                    else format('CREATE AGGREGATE %s(%s) (sfunc = %s, stype = %s)', p.proname,
                                pg_get_function_identity_arguments(p.oid), a.aggtransfn, a.aggtranstype::regtype) end,
               current_schema || '.', '') as definition,
       array(select format('grant %s on function %s to %I', lower(acl.privilege_type), p.oid::regprocedure, r.rolname)
             from aclexplode(p.proacl) acl
             join pg_roles r on r.oid = acl.grantee
             where acl.grantee <> p.proowner
             order by r.rolname desc) as grants
from pg_proc p
left join pg_aggregate a on a.aggfnoid = p.oid
where p.pronamespace = current_schema::regnamespace
order by p.oid
