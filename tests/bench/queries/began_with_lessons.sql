-- For a contender that writes nothing but lesson rows.
create trigger bench_began after insert on lesson_progress for each statement execute function bench_began()
