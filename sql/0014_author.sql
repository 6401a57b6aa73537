-- A role for an API that tries versions of courses: a dry run stores a version in a transaction that it rolls back.

-- migrate:up

do $$ begin
    if to_regrole('course_progress_author') is null then
        create role course_progress_author;
    end if;
exception
    when duplicate_object or unique_violation then -- another database's migration created it meanwhile
        null;
    when insufficient_privilege then
        raise insufficient_privilege using message = format(
            '%s. Let an administrator run: create role course_progress_author', sqlerrm);
end $$;

do $$ begin
    execute format('grant usage on schema %I to course_progress_author', current_schema);
end $$;

-- Not update or delete: what a version says never changes.
grant select, insert on course_version, course_lesson, course_replacement to course_progress_author;
grant select on course_progress_all, lesson_progress, lesson_waiver to course_progress_author;
grant execute on function hold_to_version, held_version, judge_progress to course_progress_author;
-- migrate:down
