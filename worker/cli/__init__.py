"""Holds the commands of `course-progress`, one module per group; `main` runs them."""

from worker.cli.main import main as main
