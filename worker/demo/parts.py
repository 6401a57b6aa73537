"""The parts of a running demo, for those who look at all of them."""

from dataclasses import dataclass

from worker.demo.certificates import Certificates
from worker.demo.observer import Observer
from worker.demo.traffic import Traffic
from worker.demo.workers import Supervisor


@dataclass(frozen=True)
class Parts:
    """In the order in which they start; they stop in the reverse."""

    observer: Observer
    certificates: Certificates
    supervisor: Supervisor
    traffic: Traffic
