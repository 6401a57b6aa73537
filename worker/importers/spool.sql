-- Creates the tables of an import's spool, a database that lives as long as the command.
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16000;
pragma temp_store = file;
-- One row for each record, in the order of the files. Where `place` is not null, it decides course and lesson.
create table record (
    seq integer primary key, file integer, line integer, kind text, user blob, course text, lesson text,
    at integer, iso text, id text, total integer, place text, reason text
);
-- What statements say of activities: which are courses; which are what statements are about, and whether in a course;
-- which course a registration of cmi5 is of.
create table known_course (id text primary key) without rowid;
create table thing (id text, placed integer, primary key (id, placed)) without rowid;
create table registration (id text, course text, primary key (id, course)) without rowid;
-- Statements that are taken back, by their id in lower case.
create table void (target text primary key, file integer, line integer) without rowid;
-- Titles, and the lessons of a course in their order where a list of them was read.
create table listed (
    course text, lesson text, course_title text, lesson_title text, section text, place integer, -- -1: of a record
    primary key (course, lesson, place)
);
-- The state of each lesson that the records end in, by rule 1: at the same instant, completed wins.
create view state as
select user, course, lesson, kind from (
    select user, course, lesson, kind,
           row_number() over (partition by user, course, lesson order by at desc, kind) as nth
    from record where kind in ('completed', 'uncompleted')
)
where nth = 1;
-- What the records end in, written once they are all known.
create table required (lesson text primary key) without rowid;
create table done (course text, user blob, lesson text);
create index done_course on done (course);
