from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.devstack import kafka_jars
from worker.devstack.process import Missing, PortTaken, StartFailed

pytestmark = pytest.mark.processes

JAVA = """
if [ "$1" = -version ]; then echo 'openjdk version "{version}" 2026-01-01' >&2; exit; fi
echo "{error}"; exit 1
"""
# Maven's last argument names the directory to fill.
MAVEN = """
for last; do :; done
libs=${last#-DoutputDirectory=}
mkdir "$libs" && echo jar > "$libs/kafka.jar" && """


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "course-progress"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory before everything else on the PATH; the shell's own tools stay."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setattr("shutil.which", lambda name: str(directory / name) if (directory / name).exists() else None)
    return directory


def install(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


def start() -> None:
    with kafka_jars.run_broker(say=lambda line: None):
        pass


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_392", "16"])
def test_an_old_java_is_refused_by_name(programs: Path, version: str) -> None:
    install(programs / "java", JAVA.format(version=version, error=""))

    with pytest.raises(Missing, match=rf"no java: install .* 17 or newer .*{version}"):
        kafka_jars.find_java()


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_a_new_java_is_taken(programs: Path, version: str) -> None:
    install(programs / "java", JAVA.format(version=version, error=""))

    assert kafka_jars.find_java() == str(programs / "java")


def test_no_java_and_no_maven_are_told(programs: Path, cache: Path) -> None:
    with pytest.raises(Missing, match="no java: install"):
        start()
    install(programs / "java", JAVA.format(version=17, error=""))
    with pytest.raises(Missing, match="no mvn: install Maven"):
        start()


def test_a_download_is_made_once(programs: Path, cache: Path) -> None:
    install(programs / "mvn", MAVEN + "true")
    said: list[str] = []

    first = kafka_jars.find_jars(said.append)
    again = kafka_jars.find_jars(said.append)

    assert first == again
    assert (first / "kafka.jar").read_text() == "jar\n"
    assert len(said) == 1
    assert list(cache.iterdir()) == [first]


def test_half_a_download_is_no_download(programs: Path, cache: Path) -> None:
    install(programs / "mvn", MAVEN + "echo '[ERROR] the network is away' && false")

    with pytest.raises(StartFailed, match="the network is away"):
        kafka_jars.find_jars(say=lambda line: None)

    assert list(cache.iterdir()) == []


def test_two_downloads_at_once_agree(programs: Path, cache: Path) -> None:
    install(programs / "mvn", MAVEN + "sleep 0.2")

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(kafka_jars.find_jars, [lambda line: None] * 2))

    assert found[0] == found[1]
    assert [path.name for path in found[0].iterdir()] == ["kafka.jar"]
    assert list(cache.iterdir()) == [found[0]]


@pytest.mark.parametrize(
    ("error", "kind"),
    [("Invalid config", StartFailed), ("java.net.BindException: Address already in use", PortTaken)],
)
def test_a_broker_that_dies_says_why(programs: Path, cache: Path, error: str, kind: type[StartFailed]) -> None:
    install(programs / "mvn", MAVEN + "true")
    install(programs / "java", JAVA.format(version=17, error=error))

    with pytest.raises(StartFailed, match=error) as failure:
        start()

    assert type(failure.value) is kind
