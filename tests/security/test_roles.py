"""Tests the roles' privileges: a worker may do its work, a reader may read, and every other access is refused."""

import asyncio
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import yaml
from aiokafka import TopicPartition

from events.catalog import CoursePublished
from events.models import LessonCompleted, ProgressReset
from tests.databases import execute, nothing_waits, transitions, url_of
from tests.factories import histories
from tests.processes import Workers
from tests.security.secured import PAGE, PASSWORD, Secured
from tests.topics import publish
from worker.courses.dry_run import try_version_in_time
from worker.devstack import postgres_wheel, start_server
from worker.errors import SetupError
from worker.learners.reads import CourseProgress, ProgressStats
from worker.learners.service import ProgressService
from worker.postgres.migrate import migrate
from worker.progress.fold import fold
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.outcome import Occurrence
from worker.stream.sink import Applied, Span

OWNER, WORKER, READER, AUTHOR = (f"course_progress_{name}" for name in ("owner", "worker", "reader", "author"))
READ, CALL, ALL = {"SELECT"}, {"EXECUTE"}, {"SELECT", "INSERT", "UPDATE", "DELETE"}
# Of everything that the migrations create. Who adds to them adds here.
MAY = {
    WORKER: {
        "lesson_progress": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "course_progress_all": {"SELECT", "INSERT", "UPDATE"},
        "consumed_offset": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "known_topic": {"SELECT", "INSERT", "UPDATE"},
        "outbox": {"SELECT", "INSERT", "DELETE"},
        "worker_status": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "course_version": ALL,
        "course_lesson": ALL,
        "course_replacement": ALL,
        "course_deleted": ALL,
        "course_recount": ALL,
        "known_epoch": ALL,
        "lesson_waiver": ALL,
        "transition": {"SELECT", "INSERT"},
        "known_times": CALL,
        "keep_times": CALL,
        "record_transitions": CALL,
        "hold_to_version": CALL,
        "held_version": CALL,
        "judge_progress": CALL,
        "course_event_id": CALL,
        "course_event_payload": CALL,
        "uuid_v5": CALL,
        "uuid_v8": CALL,
        "milestone_of": CALL,
        "milestone_events": CALL,
        "public": {"USAGE"},
    },
    READER: {
        "course_progress": READ,
        "course_progress_all": READ,  # of that a course is there, not of what is in it
        "lesson_progress": READ,
        "consumed_offset": READ,
        "known_topic": READ,
        "outbox": READ,  # of how much waits, not of whom or what: see below
        "worker_status": READ,
        "course_version": READ,
        "course_lesson": READ,
        "course_replacement": READ,
        "course_deleted": READ,
        "course_recount": READ,
        "known_epoch": READ,
        "lesson_waiver": READ,
        "transition": READ,
        "active_day": READ,
        "active_instant": READ,
        "studied_lesson": READ,
        "badge_rule": READ,
        "badge_award": READ,
        "announced_completion": READ,
        "learner": READ,  # of the time zone, not of name or address: see below
        "completed_lessons": CALL,
        "public": {"USAGE"},
    },
    AUTHOR: {
        "course_progress_all": READ,
        "lesson_progress": READ,
        "lesson_waiver": READ,
        "course_version": {"SELECT", "INSERT"},
        "course_lesson": {"SELECT", "INSERT"},
        "course_replacement": {"SELECT", "INSERT"},
        "hold_to_version": CALL,
        "held_version": CALL,
        "judge_progress": CALL,
        "public": {"USAGE"},
    },
}
# Whatever is granted, to a column or to all: has_any_column_privilege knows of both.
PRIVILEGES = """
with kinds (kind, privileges) as (values
    ('column', '{SELECT,INSERT,UPDATE,REFERENCES}'::text[]),
    ('table', '{DELETE,TRUNCATE,TRIGGER,MAINTAIN}'),
    ('sequence', '{SELECT,UPDATE,USAGE}'), ('function', '{EXECUTE}'), ('schema', '{CREATE,USAGE}')
), ours as (
    select relname::text as name, oid, unnest(case relkind when 'S' then '{sequence}'::text[]
        else '{column,table}' end) as kind
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'f', 'S')
    union all select proname, oid, 'function' from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'public', 'public'::regnamespace, 'schema'
)
select name, privilege
from ours join kinds using (kind) cross join unnest(privileges) as privilege
where case kind when 'column' then has_any_column_privilege($1, oid, privilege)
                when 'table' then has_table_privilege($1, oid, privilege)
                when 'sequence' then has_sequence_privilege($1, oid, privilege)
                when 'function' then has_function_privilege($1, oid, privilege)
                else has_schema_privilege($1, oid, privilege) end
"""
OWNERS = """
select relname::text, relowner::regrole::text from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'f', 'S')
union all select proname, proowner::regrole::text from pg_proc where pronamespace = 'public'::regnamespace
"""
NOW = datetime.now(UTC).replace(microsecond=0)
P0 = TopicPartition("lesson-events", 0)


@pytest.fixture
async def connections(secured: Secured, database: str) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """Yields a connection of each role to a database of this test."""
    logins = {OWNER: "progress_migrator", WORKER: "progress_worker", READER: "progress_website"}
    async with AsyncExitStack() as closing:
        opened = {}
        for role, login in logins.items():
            url = secured.settings(login, database).database_url.get_secret_value()
            opened[role] = await asyncpg.connect(url)
            closing.push_async_callback(opened[role].close)
        yield opened


async def some_progress(settings: Settings) -> LessonCompleted:
    event = LessonCompleted(user_id=uuid4(), course_id=uuid4(), lesson_id="a", total_lessons=1)
    store = Store(settings)
    assert await store.apply(fold([Occurrence(NOW, event, *P0)]), {P0: Span(None, 1)}) == Applied(announced=1 + 3)
    await store.close()
    return event


@pytest.mark.parametrize("role", MAY)
async def test_a_role_has_the_privileges_of_the_table_and_no_other(
    connections: dict[str, asyncpg.Connection], role: str
) -> None:
    found = defaultdict(set)
    for name, privilege in await connections[OWNER].fetch(PRIVILEGES, role):
        found[name].add(privilege)

    assert found == MAY[role]


async def test_everything_belongs_to_the_owner(connections: dict[str, asyncpg.Connection]) -> None:
    owners: dict[str, str] = dict(await connections[OWNER].fetch(OWNERS))

    assert {"outbox", "uuid_v5", "schema_migrations"} <= owners.keys()
    assert set(owners.values()) == {OWNER}


async def test_only_members_get_into_the_database_and_only_owners_create_in_it(secured: Secured) -> None:
    connection = await asyncpg.connect(secured.admin_url)
    asked = "select has_database_privilege($1, 'course_progress', $2)"
    wanted = {
        "progress_nobody": [],
        OWNER: ["CONNECT", "TEMP", "CREATE"],
        WORKER: ["CONNECT"],
        READER: ["CONNECT"],
        AUTHOR: ["CONNECT"],
    }
    await connection.execute("create role progress_nobody")
    found = {
        role: [kind for kind in ("CONNECT", "TEMP", "CREATE") if await connection.fetchval(asked, role, kind)]
        for role in wanted
    }
    await connection.close()

    assert found == wanted


async def test_a_worker_with_nothing_but_its_role_does_all_of_its_work(
    settings: Settings, workers: Workers, secured: Secured, database: str
) -> None:
    happened = histories(learners=60, seed=11)  # resets too
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    connection = await asyncpg.connect(secured.url("postgres", database))
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    assert await transitions(connection) > 20
    assert await nothing_waits(connection)
    await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine ()",
        "create schema mine",
        "create function mine() returns int language sql return 1",
        "alter table outbox add column mine int",
        "drop table outbox",
        "drop view course_progress",
        "create index on outbox (id)",
        "create trigger mine before delete on outbox execute function suppress_redundant_updates_trigger()",
        "truncate outbox",
        "select * from schema_migrations",
        "insert into schema_migrations values ('0')",
        "select * from course_progress",
        "delete from course_progress_all",
        "update outbox set payload = '{}'",
        "set role course_progress_owner",
        "create role mine",
        "copy outbox to program 'cat'",
        "select * from pg_authid",
        "select pg_read_file('postgresql.conf')",
    ],
)
async def test_a_worker_changes_no_table_and_reads_nothing_it_need_not(
    connections: dict[str, asyncpg.Connection], statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connections[WORKER].execute(statement)


async def test_a_reader_reads_all_that_a_website_asks_for(secured: Secured, database: str) -> None:
    event = await some_progress(secured.settings("progress_worker", database))
    user, course = event.user_id, event.course_id

    async with ProgressService(secured.settings("progress_website", database)) as service:
        progress = await service.get_course_progress(user, course)
        assert progress is not None
        assert progress.completed_lessons == ("a",)
        assert await service.get_user_progress(user) == [progress]
        assert await service.get_bulk_course_progress(user, [course]) == {course: progress}
        assert await service.get_progress_stats(user) == ProgressStats(1, 1, 0, 1, 100, 100)
        assert await service.is_lesson_completed(user, course, "a")
        assert await service.get_completion_percentage(user, course) == 100
        assert (await service.reads.read_marks([user])).keys() == {user}  # what the API's stream and /ready ask
        assert await service.reads.fetch("web/ready")


async def test_a_website_with_the_readers_role_marks_a_lesson_and_sees_it(
    settings: Settings, workers: Workers, secured: Secured, database: str
) -> None:
    workers.start()
    url = secured.settings("progress_website", database).database_url
    website = settings.model_copy(update={"database_url": url, "apply_deadline_s": 60})

    async with ProgressService(website) as service:
        progress = await service.mark_lesson_complete(uuid4(), uuid4(), "a", total_lessons=2)

    assert isinstance(progress, CourseProgress)
    assert progress.progress_percentage == 50


async def test_the_api_with_its_two_roles_tries_a_version_and_keeps_nothing_of_it(
    connections: dict[str, asyncpg.Connection], secured: Secured, database: str
) -> None:
    event = await some_progress(secured.settings("progress_worker", database))
    version = CoursePublished(course_id=event.course_id, version=1, lessons=[{"lesson_id": "a"}, {"lesson_id": "b"}])

    found = await try_version_in_time(secured.settings("progress_api", database), version)

    assert (found.learners, found.revoked, found.lowered) == (1, 1, 1)
    assert await connections[OWNER].fetchval("select count(*) from course_version") == 0


async def test_a_readers_completed_lessons_are_a_json_array(
    connections: dict[str, asyncpg.Connection], secured: Secured, database: str
) -> None:
    await some_progress(secured.settings("progress_worker", database))

    assert await connections[READER].fetchval("select cp.completed_lessons from course_progress cp") == '["a"]'


@pytest.mark.parametrize(
    "statement",
    [
        "select * from course_progress_all",
        "select aggregateid from outbox",
        "select payload from outbox",
        "select id from outbox",
        "select name from learner",
        "select email from learner",
        "delete from worker_status",
        "select * from schema_migrations",
        "update course_progress set lessons_completed = 1",
        "delete from lesson_progress",
        "update consumed_offset set next_offset = 0",
        "truncate lesson_progress",
        "create table mine ()",
        "set role course_progress_worker",
        "select course_event_id('CourseCompleted', gen_random_uuid(), gen_random_uuid(), 1)",
    ],
)
async def test_a_reader_does_nothing_else(connections: dict[str, asyncpg.Connection], statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connections[READER].execute(statement)


async def test_a_reset_row_is_no_readers_to_see(
    connections: dict[str, asyncpg.Connection], secured: Secured, database: str
) -> None:
    settings = secured.settings("progress_worker", database)
    event = await some_progress(settings)
    reset = ProgressReset(user_id=event.user_id, course_id=event.course_id)
    store = Store(settings)
    await store.apply(fold([Occurrence(NOW + timedelta(hours=1), reset, *P0)]), {P0: Span(1, 2)})
    await store.close()

    assert await connections[READER].fetch("select from course_progress") == []
    assert await connections[READER].fetch("select from lesson_progress") == []


@pytest.mark.processes
@pytest.mark.parametrize("login", ["postgres", "maker"])
async def test_migrations_of_many_databases_at_once_create_the_roles_together(login: str) -> None:
    """`maker` is like the role of a managed service: it may create roles and databases, and is not a superuser."""
    with ExitStack() as running:
        admin_url = start_server(postgres_wheel.run_database, running, print)
        await execute(admin_url, "create role maker login createrole")
        urls = [url_of(admin_url, f"d{n}").replace("postgres@", f"{login}@") for n in range(6)]
        for n in range(6):
            await execute(admin_url, f"create database d{n} owner {login}")

        applied = await asyncio.gather(*(migrate(Settings(database_url=url)) for url in urls))

        assert all("0002_roles.sql" in names for names in applied)
        for url in urls:
            connection = await asyncpg.connect(url)
            assert {owner for _, owner in await connection.fetch(OWNERS)} == {OWNER}
            await connection.close()


async def test_a_role_that_may_not_give_the_tables_away_gets_one_line_with_the_remedy(
    secured: Secured,
) -> None:
    await execute(secured.admin_url, f"create role stranger login password '{PASSWORD}'")
    await execute(secured.admin_url, "create database strange owner stranger")

    with pytest.raises(SetupError, match="grant course_progress_owner to stranger") as refused:
        await migrate(secured.settings("stranger", "strange"))

    assert "\n" not in str(refused.value)


ODD_PASSWORD = "it's \"odd\"; drop role worker; -- \\ :'x' $HOME `id` %L @/#?&%41"


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("worker", [WORKER]),
        ("api", [AUTHOR, "course_progress_certificates", READER]),
        ("effects", ["course_progress_effects"]),
    ],
)
@pytest.mark.parametrize("password", [None, ODD_PASSWORD], ids=["the default", "an odd one"])
async def test_compose_gives_each_a_login_of_its_own_however_often_it_is_brought_up(
    secured: Secured, name: str, roles: list[str], password: str | None
) -> None:
    """A password may have any character: none has a meaning in the file's SQL, its shell or its URLs."""
    names = () if password is None else ("WORKER_PASSWORD", "WEBSITE_PASSWORD", "EFFECTS_PASSWORD")
    set_outside = dict.fromkeys(names, password or "")
    login, service = (read_service(service, set_outside) for service in ("login", name))
    programs = postgres_wheel.find_wheel() / postgres_wheel.PACKAGE / "pginstall/bin"
    here = {"PGHOST": "127.0.0.1", "PGPORT": str(secured.port), "PATH": f"{programs}:{os.environ['PATH']}"}
    for _ in range(2):
        running = await asyncio.create_subprocess_exec(*login["command"], env=os.environ | login["environment"] | here)
        assert await running.wait() == 0
    user = urlsplit(service["environment"]["PROGRESS_DATABASE_URL"]).username

    connection = await asyncpg.connect(secured.url(f"{user}"), password=service["environment"]["PGPASSWORD"])
    granted = await connection.fetch(
        "select roleid::regrole::text from pg_auth_members where member = current_user::regrole order by 1"
    )
    await connection.close()

    assert [role for (role,) in granted] == roles


def read_service(name: str, set_outside: dict[str, str]) -> dict[str, Any]:
    """Reads a service of the compose file, with its variables filled in as compose does, after it has read the YAML."""

    def fill_in(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill_in(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill_in(inner) for inner in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: set_outside.get(found[1], found[2]), value)

    filled: dict[str, Any] = fill_in(yaml.safe_load((PAGE.parents[1] / "docker-compose.yml").read_text()))
    return filled["services"][name]
