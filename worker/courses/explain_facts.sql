-- Reads all that decides how far user $1 is in course $2, in one snapshot; worker/courses/explain.py explains it.
--
-- $3 is the most lessons that no version names, and $4 the most transitions, that are read: no learner decides what it
-- costs. `lesson_contents` has what the newest version says of its lessons, and that of the row.
-- Returns one row: facts, a JSON object with the fields of `Facts` in worker/courses/explain_facts.py.
with
progress as materialized (
    select * from course_progress_all where user_id = $1 and course_id = $2
),
versions as materialized (
    select version, published_at, policy, needed, title from course_version where course_id = $2
),
named as materialized (
    select lesson_id from course_lesson where course_id = $2
    union
    select replaced_id from course_replacement where course_id = $2
),
lessons as materialized (
    select l.lesson_id, l.completed, l.completed_at, l.changed_at, coalesce(l.completions[1], l.completed_at) as first_at,
           exists (select from named n where n.lesson_id = l.lesson_id) as is_named
    from lesson_progress l
    where l.user_id = $1 and l.course_id = $2
),
lessons_shown as (
    select * from lessons where is_named
    union all
    (select * from lessons where not is_named and completed order by completed_at, lesson_id limit $3)
),
transitions as materialized (
    select type, completion_number, occurred_at, course_version, cause, recorded_at
    from transition
    where user_id = $1 and course_id = $2
)
select jsonb_build_object(
    'as_of', now(),
    'user_id', $1::uuid,
    'course_id', $2::uuid,
    'row', (select jsonb_build_object(
                'lessons_completed', lessons_completed, 'total_lessons', total_lessons,
                'progress_percentage', progress_percentage, 'completed_at', completed_at,
                'completion_number', completion_number, 'course_version', course_version,
                'lessons_waived', lessons_waived, 'started_at', started_at, 'last_accessed_at', last_accessed_at,
                'reset_at', reset_at)
            from progress),
    'deleted_at', (select deleted_at from course_deleted d
                   where course_id = $2
                     and not exists (select from versions v where v.published_at > d.deleted_at)),
    'versions', coalesce((
        select jsonb_agg(to_jsonb(v) || jsonb_build_object('lessons', l.lessons) order by v.version)
        from versions v
        cross join lateral (
            select jsonb_agg(jsonb_build_object('lesson_id', lesson_id, 'required', required) order by position) as lessons
            from course_lesson c
            where c.course_id = $2 and c.version = v.version
        ) l), '[]'),
    'lesson_contents', coalesce((
        select jsonb_object_agg(version, content -> 'lessons')
        from course_version
        where course_id = $2
          and (version = (select max(version) from versions) or version = (select course_version from progress))), '{}'),
    'replacements', coalesce((
        select jsonb_agg(jsonb_build_array(lesson_id, replaced_id) order by lesson_id, replaced_id)
        from course_replacement
        where course_id = $2), '[]'),
    'lessons', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'lesson_id', lesson_id, 'completed', completed, 'completed_at', completed_at, 'first_at', first_at,
                   'changed_at', changed_at) order by completed_at, lesson_id)
        from lessons_shown), '[]'),
    'unnamed_completed', (select count(*) from lessons where completed and not is_named),
    'waivers', coalesce((
        select jsonb_agg(jsonb_build_object(
                   'lesson_id', lesson_id, 'waived_at', waived_at, 'withdrawn_at', withdrawn_at, 'reason', reason)
               order by lesson_id)
        from lesson_waiver
        where user_id = $1 and course_id = $2), '[]'),
    'transitions', coalesce((
        select jsonb_agg(to_jsonb(t) order by completion_number, type)
        from (select * from transitions order by completion_number desc, type desc limit $4) t), '[]'),
    'transitions_known', (select count(*) from transitions),
    'recount', (select jsonb_build_object(
                    'version', version, 'started_at', started_at, 'rows_seen', rows_seen, 'rows_expected', rows_expected,
                    'passed', coalesce(after_user >= $1, false))
                from course_recount
                where course_id = $2 and finished_at is null)
)::text as facts
