"""Plays bad days on real servers and measures their cost: the fault suite."""

# ruff: noqa: I001 -- the order of the table
from tests.faults import worker_faults as worker_faults
from tests.faults import postgres_faults as postgres_faults
from tests.faults import kafka_faults as kafka_faults
from tests.faults import broker_faults as broker_faults
from tests.faults import cluster_faults as cluster_faults
from tests.faults import network_faults as network_faults
from tests.faults import recovery_faults as recovery_faults
from tests.faults import order_faults as order_faults
from tests.faults import topic_faults as topic_faults
from tests.faults import catalog_faults as catalog_faults
from tests.faults import effects_faults as effects_faults
from tests.faults import badge_faults as badge_faults
from tests.faults import service_faults as service_faults
from tests.faults import upgrade_faults as upgrade_faults
from tests.faults import input_faults as input_faults
from tests.faults import attack_faults as attack_faults
from tests.faults.fault import FAULTS as FAULTS
