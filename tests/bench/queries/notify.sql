-- Tells who listens, as soon as others can see a batch of lesson events, up to where its partitions are applied.
create function bench_moved() returns trigger language plpgsql as $$
begin
    perform pg_notify('bench_moved', new.partition || ' ' || new.next_offset);
    return null;
end $$;

create trigger bench_moved after insert or update on consumed_offset for each row
    when (new.topic like 'lesson-events%') execute function bench_moved();
