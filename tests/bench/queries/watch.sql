-- What the harness adds to a contender's database.

-- Where a contender writes how far it is, in the transaction of its rows, if it does not write consumed_offset.
create table bench_progress (
    peer text not null,
    partition integer not null,
    next_offset bigint not null,
    moved_at timestamptz not null default now(),
    primary key (peer, partition)
);

-- When the transactions began that were the first of their partitions.
create table bench_began (at timestamptz not null);

create function bench_began() returns trigger language plpgsql as $$
begin
    insert into bench_began values (now());
    return null;
end $$;

create trigger bench_began after insert on bench_progress for each row execute function bench_began();
create trigger bench_began after insert on consumed_offset for each row execute function bench_began();
