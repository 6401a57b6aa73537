"""The rules of the house: who may import whom, how long a part may be, and which test belongs to which module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
Modules = dict[str, ast.Module]

FAUST = {
    "worker/achievements/registration.py": "a service of the app",
    "worker/agents.py": "the app without Kafka, and one agent per stream",
    "worker/cli/worker.py": "runs the app until it stops",
    "worker/courses/recount.py": "a service of the app",
    "worker/effects/performer.py": "a service of the app",
    "worker/health/heartbeat.py": "a service of the app",
    "worker/health/need.py": "a service of the app",
    "worker/health/until_idle.py": "a service of the app",
    "worker/intake/intake.py": "a service of the app",
    "worker/kafka/permissions.py": "a service of the app",
    "worker/outbox/relay.py": "a service of the app",
    "worker/web/port.py": "serves /live, /ready and /metrics on the app's port",
}
LONGEST_FUNCTION, LONGEST_MODULE = 45, 300

# Whole systems, which are no room of the worker.
SYSTEMS = {"e2e", "faults", "bench", "security", "kafka_security"}
OF_SEVERAL_MODULES = {
    "tests/test_docs.py": "the repository's documents",
    "tests/test_house.py": "the repository's modules",
    "tests/certificates/test_recount.py": "a recount, and the certificates that follow, on many rows",
    "tests/courses/test_dry_run_and_recount.py": "a dry run and the recount that follows, on many rows",
    "tests/progress/test_milestones.py": "rule 17 in apply.sql, reset.sql and a migration's functions",
    "tests/progress/test_payload.py": "the payload of course events, as SQL builds it",
    "tests/progress/test_rules.py": "docs/rules.md in fold.py and apply.sql together",
    "tests/progress/test_versions.py": "rules 8 to 11 in SQL, with the catalog's sink and the recount",
    "tests/events/test_any_record.py": "envelope and models together, on any bytes",
    "tests/events/test_envelope_on_kafka.py": "the envelope through a real topic",
    "tests/events/test_every_door.py": "the published schemas, and every door that takes their events",
    "tests/events/test_malformed.py": "envelope and models together, on what is malformed",
    "tests/web/test_away.py": "the API while a server is away",
    "tests/web/pages/test_why_browser.py": "the page Why and the lessons of My learning, in a browser",
    "tests/web/pages/test_achievements_browser.py": "streak and badges, from the stream to the page, in a browser",
    "tests/web/pages/test_why_routes.py": "the page Why over HTTP",
    "tests/web/api/test_read_your_writes.py": "completions and reads together, over two processes",
    "tests/web/pages/test_browser.py": "all pages in a browser",
}


def modules(*folders: str) -> Modules:
    """Parses all modules of these folders, by their path in the repository."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


@pytest.fixture(scope="module")
def sources() -> Modules:
    return modules("worker", "events")


@pytest.fixture(scope="module")
def tests() -> Modules:
    return modules("tests")


def imported(module: ast.Module) -> Iterator[str]:
    """Yields the full names that a module imports, the names of what it takes from a module among them."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import has no full name"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_collected(name: str) -> bool:
    """Tells whether pytest itself imports the module of this name: a test module or a conftest."""
    parts = name.split(".")
    return parts[0] == "tests" and (parts[-1] == "conftest" or parts[-1].startswith("test_"))


def mirrored(test: Path) -> list[Path]:
    """Returns the modules that a test file may be about: the one of its name, or the room of its name."""
    *rooms, _ = test.parts
    name = test.stem.removeprefix("test_")
    where = Path(*rooms) if rooms[:1] == ["events"] else Path("worker", *rooms)
    room = [where / "__init__.py"] if rooms[-1:] == [name] else []
    return [where / f"{name}.py", *room]


def test_no_module_of_tests_imports_a_test_module_or_a_conftest(tests: Modules) -> None:
    """What tests share lies in modules that pytest does not collect, so that each test file can move alone."""
    found = {test: [name for name in imported(module) if is_collected(name)] for test, module in tests.items()}

    assert {test: names for test, names in found.items() if names} == {}


def test_faust_and_mode_are_imported_only_where_a_reason_is_given(sources: Modules) -> None:
    """Faust gives the agent of a stream, services and their lifecycle. It never touches Kafka."""
    found = {
        path
        for path, module in sources.items()
        if any(name.partition(".")[0] in ("faust", "mode") for name in imported(module))
    }

    assert found == FAUST.keys()


def test_commands_print_only_by_say(sources: Modules) -> None:
    """worker/cli/output.py escapes what strangers wrote; tables go through rich, whose cells are escaped texts."""
    found = {
        f"{path}: {ast.unparse(call.func)}"
        for path, module in sources.items()
        if path.startswith("worker/cli/") and path != "worker/cli/output.py"
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in {"print", "click.echo", "click.secho", "json.dumps", "sys.stdout.write"}
    }

    assert found == set()


def test_no_function_is_longer_than_a_screen(sources: Modules) -> None:
    functions = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, module in sources.items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}


def test_no_module_is_too_long(sources: Modules) -> None:
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in sources}

    assert {path for path, number in lines.items() if number > LONGEST_MODULE} == set()


def test_every_test_file_mirrors_a_module(tests: Modules) -> None:
    """tests/<room>/test_<module>.py is about worker/<room>/<module>.py, tests/events/ about events/."""
    files = {test: Path(test).relative_to("tests") for test in tests if Path(test).name.startswith("test_")}
    strays = {
        test
        for test, path in files.items()
        if path.parts[0] not in SYSTEMS and not any((ROOT / module).exists() for module in mirrored(path))
    }

    assert strays == OF_SEVERAL_MODULES.keys()
