"""The repository's pages are true of it: links, paths, commands, settings, versions."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.cli.main import cli
from worker.effects.settings import EffectsSettings
from worker.web.settings import ApiSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("migrate", "topics", "worker", "api", "effects")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^):#]+)\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.processes
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_prose_exist(page: Path) -> None:
    """A path may be given from the root, from `worker/` or from the folder that the text is about."""
    prose = re.sub(r"^(```.*?^```| {4}.*?)$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    files = re.findall(r"(?<![\w/.…-])(?:[\w-]+/)*[\w-]+\.(?:py|sql|md|yml|json|js|sh)\b", prose)
    folders = re.findall(r"`((?:[\w-]+/)+)`", prose)

    assert [path for path in {*files, *folders} if path.rstrip("/") not in known_paths()] == []


@cache
def known_paths() -> set[str]:
    """Returns every file and folder of the repository, by its path from any folder above it."""
    files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    paths = {path for file in files for path in (Path(file), *Path(file).parents)}
    return {"/".join(path.parts[start:]) for path in paths for start in range(len(path.parts))}


def test_contributing_draws_the_tree_and_the_rows_of_imports_as_they_are() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    rooms = {path.name for path in (ROOT / "worker").iterdir() if (path / "__init__.py").exists()}

    assert "".join(f"    {layer}\n" for layer in layers) in page
    assert set(re.findall(r"^      (\w+)/ ", page, re.MULTILINE)) == rooms


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_python_compiles(block: str) -> None:
    compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readmes_commands_exist() -> None:
    rows = re.findall(r"^\| `([a-z]+)", README, re.MULTILINE)
    named = {*re.findall(r"course-progress (\w+)", README), *rows}

    assert cli.commands.keys() <= set(re.findall(r"\w+", README))
    assert named <= cli.commands.keys()


def test_the_compose_file_runs_commands_that_exist_after_what_they_need() -> None:
    services = COMPOSE["services"]
    for name in OURS:
        assert services[name]["command"][0] in cli.commands
        assert services[name]["depends_on"].keys() <= services.keys()
        assert "container_name" not in services[name]  # or it would not scale


@pytest.mark.parametrize("name", OURS)
def test_compose_sets_only_settings_that_exist(name: str) -> None:
    known = {f"PROGRESS_{field}".upper() for field in ApiSettings.model_fields | EffectsSettings.model_fields}

    assert COMPOSE["services"][name]["environment"].keys() <= known | {"PGPASSWORD"}  # asyncpg's own


def test_compose_starts_the_api_when_there_is_an_issuer_of_tokens_and_checks_health_at_its_own_port() -> None:
    api = COMPOSE["services"]["api"]
    port = ApiSettings.model_fields["api_port"].default

    assert api["profiles"] == ["api"]
    assert {name for name, value in api["environment"].items() if value is None} >= {
        "PROGRESS_JWT_ISSUER",
        "PROGRESS_JWT_AUDIENCE",
        "PROGRESS_JWT_JWKS_URL",
    }
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/live" in api["healthcheck"]["test"][-1]


def test_the_image_is_built_of_what_is_pinned_with_hashes() -> None:
    """pip would fetch a build backend without a version and a hash if it made an environment for it."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [
        step
        for line in lines
        if line.startswith("RUN")
        for step in line.split("&&")
        if " pip " in step or "/pip " in step
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    for step in steps:
        [file] = re.findall(r"-r (\S+)", step) or [None]
        if file is None:
            assert "--no-deps" in step
            assert "--no-build-isolation" in step or step.rstrip().endswith(".whl")
        else:
            assert "--require-hashes" in step
            assert f"!{file}" in ignored
    assert len(steps) == 5


def test_the_image_for_certificates_is_what_compose_builds_and_the_usual_one_has_none_of_it() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    [certificates] = [stage for stage in stages if stage.splitlines()[0].endswith("AS certificates")]
    lean, full = (
        set(re.findall(r"^[a-z0-9.-]+(?===)|^[a-z0-9.-]+(?=\[)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-certificates.txt")
    )

    assert COMPOSE["services"]["migrate"]["build"]["target"] == "certificates"
    assert "fonts-noto-core" in certificates
    assert "--from=build-certificates" in certificates
    assert "--from=build /app" in stages[-1]
    assert not {"typst", "segno", "openbadgeslib"} & lean
    assert lean < full >= {"typst", "segno", "openbadgeslib", "tzdata"}


def test_compose_signs_with_a_key_that_stays() -> None:
    services = COMPOSE["services"]
    key = services["effects"]["environment"]["PROGRESS_CERTIFICATE_KEY_FILES"]

    assert key in services["certificate-key"]["entrypoint"][-1]
    assert services["effects"]["volumes"] == ["keys:/keys:ro"]
    assert "keys" in COMPOSE["volumes"]
    assert (
        services["effects"]["environment"]["PROGRESS_PUBLIC_URL"]
        == (services["api"]["environment"]["PROGRESS_PUBLIC_URL"])
    )


def test_compose_builds_the_image_that_every_service_of_ours_runs() -> None:
    [build] = [service for service in COMPOSE["services"].values() if "build" in service]

    assert {COMPOSE["services"][name]["image"] for name in OURS} == {build["image"]}


@pytest.mark.processes
def test_the_contract_needs_nothing_of_the_worker() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    only_workers = [
        "asyncpg",
        "faust",
        "click",
        "rich",
        "structlog",
        "starlette",
        "prometheus_client",
        "pydantic_settings",
    ]
    blocked = (
        f"import sys; sys.modules.update(dict.fromkeys({only_workers})); import events; events.LessonEventPublisher"
    )

    assert {"api", "worker"} <= extras.keys()
    assert subprocess.run([sys.executable, "-c", blocked], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda file: file.name)
def test_every_dependency_is_pinned_with_its_hashes(file: Path) -> None:
    requirements = re.split(r"\n(?=\w)", re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE))

    assert len(requirements) > 5
    assert [
        text for text in requirements if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:\w{64}", text, re.DOTALL)
    ] == []


@pytest.mark.processes
def test_no_registry_is_named() -> None:
    named = subprocess.run(
        ["git", "grep", "-lEi", r"pypi\.org|pythonhosted|repo1?\.maven|maven\.org|npmjs", "--", ":!tests/test_docs.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert named.stdout == ""
