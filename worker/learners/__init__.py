"""Serves what a website asks and reports about one learner: `ProgressService`."""

from worker.learners.service import Accepted, ProgressService

__all__ = ["Accepted", "ProgressService"]
