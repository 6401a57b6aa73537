"""Holds the parts of a running demo, for the modules that read all of them."""

from dataclasses import dataclass

from worker.demo.certificates import Certificates
from worker.demo.observer import Observer
from worker.demo.traffic import Traffic
from worker.demo.workers import Supervisor


@dataclass(frozen=True)
class Parts:
    """Holds the parts in the order in which they start; they stop in the reverse order."""

    observer: Observer
    certificates: Certificates
    supervisor: Supervisor
    traffic: Traffic
    effects: Supervisor | None = None  # issues certificates, where that is installed
