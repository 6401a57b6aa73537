"""Runs a real Kafka broker from its own jars, with Java; Maven downloads the jars once."""

import base64
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from worker.devstack.process import Missing, Say, find_free_ports, run_kept, scratch_directory

POM = Path(__file__).with_name("kafka-pom.xml")
JAVA_NEEDED = 17


@dataclass(frozen=True)
class Extras:
    """Holds what a broker has in addition: listeners (NAME://host:port to protocol), settings, and SCRAM users."""

    listeners: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    scram_users: Sequence[str] = ()


@contextmanager
def run_broker(say: Say, extras: Extras = Extras()) -> Iterator[str]:
    """Yields host:port of a broker that answers there without TLS. Raises `Unavailable`."""
    java, jars = find_java(), find_jars(say)
    address, controller = (f"127.0.0.1:{port}" for port in find_free_ports(2))
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    with scratch_directory("kafka") as directory:
        settings = add_extras(build_node_settings(listen=address, advertised=address, controller=controller), extras)
        write_properties(directory / "server.properties", settings | {"log.dirs": f"{directory}/data"})
        storage = build_format_command(java, jars, cluster_id, directory, extras.scram_users)
        # One shell command, so that one keeper watches both JVMs.
        with run_kept(["sh", "-c", f"{storage} && {build_server_command(java, jars, directory)}"], directory) as server:
            server.wait_until(lambda: is_answering(address, cluster_id))
            yield address


def build_node_settings(*, listen: str, advertised: str, controller: str) -> dict[str, str]:
    """Builds the settings of a broker that is its own controller and has no replicas; also for Docker."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"BROKER://{listen},CONTROLLER://{controller}",
        "advertised.listeners": f"BROKER://{advertised}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{controller}",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "controlled.shutdown.enable": "false",  # no other broker could take the partitions over
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",  # tests and demo publish events with old timestamps
    }


def add_extras(settings: dict[str, str], extras: Extras) -> dict[str, str]:
    """Adds listeners and settings to those of a broker."""
    protocols = [f"{listener.partition(':')[0]}:{protocol}" for listener, protocol in extras.listeners.items()]
    more = {
        "listeners": extras.listeners,
        "advertised.listeners": extras.listeners,
        "listener.security.protocol.map": protocols,
    }
    longer = {name: ",".join([settings[name], *values]) for name, values in more.items()}
    return settings | longer | dict(extras.settings)


def write_properties(path: Path, settings: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def build_format_command(
    java: str, jars: Path, cluster_id: str, directory: Path, scram_users: Sequence[str] = ()
) -> str:
    """Builds the shell command that formats `directory`, which has `server.properties`, for the server."""
    # Without its second compiler the JVM starts a short job sooner, but it makes the broker slower.
    storage = [
        java,
        "-XX:TieredStopAtLevel=1",
        *build_jvm_arguments(jars, directory),
        "kafka.tools.StorageTool",
        "format",
    ]
    # With "=", as the id may begin with a dash.
    storage += [f"--cluster-id={cluster_id}", f"--config={directory}/server.properties"]
    return shlex.join([*storage, *(f"--add-scram={user}" for user in scram_users)])


def build_server_command(java: str, jars: Path, directory: Path, heap_mb: int = 768) -> str:
    """Builds the shell command that becomes the broker."""
    jvm = [java, f"-Xmx{heap_mb}m", *build_jvm_arguments(jars, directory)]
    server = [*jvm, "kafka.Kafka", f"{directory}/server.properties"]
    return f"exec {shlex.join(server)}"


def build_jvm_arguments(jars: Path, directory: Path) -> list[str]:
    # These keep the files that a killed JVM leaves (hsperfdata, unpacked native codecs) out of /tmp.
    tidy = ["-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={directory}"]
    return [*tidy, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]


def is_answering(address: str, cluster_id: str) -> bool:
    """Says whether our broker answers there; another process's broker on its port has another cluster id."""
    host, port = address.split(":")
    with suppress(OSError, KafkaException):
        # Tried first, because librdkafka takes a second to notice that nothing listens yet.
        socket.create_connection((host, int(port)), timeout=1).close()
        cluster = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=5)
        return cluster.cluster_id == cluster_id and bool(cluster.brokers)
    return False


def find_java() -> str:
    java = shutil.which("java")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    version = re.search(r'version "(\d+)', output)
    if java is None or version is None or int(version[1]) < JAVA_NEEDED:
        found = output.partition("\n")[0] or "none"
        raise Missing("java", f"install a Java runtime, {JAVA_NEEDED} or newer (found: {found})")
    return java


def find_jars(say: Say, pom: Path = POM) -> Path:
    """Finds the directory of the jars that `pom` names, and downloads it if it is missing: whole or not at all."""
    jars = locate_jars(pom)
    if not jars.is_dir():
        say(f"Downloading {jars.name} with Maven to {jars} (45 to 75 MB, once)")
        download(jars, pom)
    return jars


def locate_jars(pom: Path) -> Path:
    """Returns the path of the jars' directory in the cache, which `pom` names with its id and version."""
    project = ElementTree.parse(pom)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "course-progress" / f"{project.findtext('artifactId')}-{project.findtext('version')}"


def download(jars: Path, pom: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("mvn", "install Maven, which downloads Kafka")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        copy = [
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={directory}/libs",
        ]
        with run_kept([maven, "-B", "-q", "-f", str(pom), *copy], directory) as run:
            run.wait(timeout_s=900)
            with suppress(OSError):  # another process was faster; its jars are the same
                (directory / "libs").rename(jars)
