"""What a website asks about a learner, and tells of one: `ProgressService`."""

from worker.learners.service import Accepted, ProgressService

__all__ = ["Accepted", "ProgressService"]
