"""The command line, `course-progress`."""

from worker.cli.main import main as main
