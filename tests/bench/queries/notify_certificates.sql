-- Tells who listens, as soon as others can see a certificate, whose it is.
create function bench_certificate() returns trigger language plpgsql as $$
begin
    perform pg_notify('bench_certificate', new.user_id::text);
    return null;
end $$;

create trigger bench_certificate after insert on certificate for each row execute function bench_certificate();
