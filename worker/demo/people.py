"""Describes the simulated learners, as whoever knows them would: certificates bear their names. Pure."""

from uuid import UUID

from events import LearnerDescribed
from worker.demo.player import make_name

ZONES = [
    *("Africa/Lagos", "America/Mexico_City", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo"),
    *("Australia/Sydney", "Europe/Berlin", "Europe/Istanbul", "Europe/Warsaw", "Pacific/Auckland", "UTC"),
]


def describe_person(user_id: UUID) -> LearnerDescribed:
    """Describes a learner by name and time zone, always the same way. A simulated learner has no address."""
    return LearnerDescribed(user_id=user_id, name=make_name(user_id), timezone=ZONES[user_id.int % len(ZONES)])
