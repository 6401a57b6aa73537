"""Runs three brokers that hold replicas of each other's partitions, and of which each may be stopped alone."""

import base64
import json
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.faults.server import Server, make_directory
from worker.devstack import kafka_jars
from worker.devstack.process import Say, StartFailed, find_free_ports

BROKERS = 3
HEAP_MB = 400
TOGETHER_WITHIN_S = 60
REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "controlled.shutdown.enable": "true",
    # A broker or a worker that was killed is missed within 3 s, so that a round is short.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "group.min.session.timeout.ms": "1000",
}


class Cluster:
    """Runs brokers with the node ids 1 to 3, each of which is a controller too. Its methods block."""

    def __init__(self, home: Path, say: Say) -> None:
        java, jars = kafka_jars.find_java(), kafka_jars.find_jars(say)
        ports = find_free_ports(2 * BROKERS)
        listen, controllers = ([f"127.0.0.1:{port}" for port in part] for part in (ports[:BROKERS], ports[BROKERS:]))
        self.address = ",".join(listen)
        voters = {"controller.quorum.voters": ",".join(f"{n}@{where}" for n, where in enumerate(controllers, 1))}
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.nodes: list[Server] = []
        for number, (address, controller) in enumerate(zip(listen, controllers, strict=True), 1):
            node = home / f"node-{number}"
            make_directory(node, "")
            alone = kafka_jars.build_node_settings(listen=address, advertised=address, controller=controller)
            own = {"node.id": str(number), "log.dirs": f"{node}/data"}
            kafka_jars.write_properties(node / "server.properties", alone | REPLICATED | voters | own)
            storage = kafka_jars.build_format_command(java, jars, cluster_id, node)
            run = kafka_jars.build_server_command(java, jars, node, HEAP_MB)
            is_up = partial(kafka_jars.is_answering, address, cluster_id)
            self.nodes.append(Server(node, f"{storage} && {run}", run, is_up))

    def start(self) -> None:
        """Starts all brokers, and returns when they have found each other. Raises StartFailed."""
        with ThreadPoolExecutor(BROKERS) as pool:
            list(pool.map(Server.start, self.nodes))  # at once, because none answers before two of them run
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + TOGETHER_WITHIN_S
        while len(client.list_topics(timeout=5).brokers) < BROKERS:
            if time.monotonic() > deadline:
                raise StartFailed("the brokers of the cluster do not find each other")
            time.sleep(0.1)

    def read_controller(self) -> Server:
        """Returns the broker that leads the controllers, which each of them keeps in a file."""
        files = [node.home / "data/__cluster_metadata-0/quorum-state" for node in self.nodes]
        latest = max((json.loads(file.read_text()) for file in files), key=lambda state: state["leaderEpoch"])
        assert latest["leaderId"] > 0, "the controllers have no leader"
        return self.nodes[latest["leaderId"] - 1]

    def close(self) -> None:
        """Kills all brokers: the last ones would wait in vain for a controller that takes their partitions over."""
        for node in self.nodes:
            if node.runs:
                node.send(signal.SIGKILL)
            node.close()
