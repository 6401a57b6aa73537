"""Writes docs/settings.md from the settings, each with its default and its meaning."""

import argparse
import sys
from pathlib import Path

from pydantic import SecretStr

from worker.web.settings import ApiSettings

FILE = Path(__file__).parents[2] / "docs/settings.md"
INTRODUCTION = """# Settings

Every process reads its settings from environment variables. A value that does not fit ends the process with one line,
which names the variable. `make contract` writes this page from `worker/settings.py`, `worker/web/settings.py`,
`worker/achievements/settings.py` and `worker/certificates/settings.py`.
"""
# Each title stands above the setting named, which begins its group.
TITLES = {
    "environment": "Process",
    "database_url": "PostgreSQL",
    "kafka_bootstrap_servers": "Kafka",
    "consumer_group": "Consumer group",
    "lesson_events_topic": "Topics",
    "batch_size": "Batches and the breaker",
    "http_host": "A worker's port",
    "apply_deadline_s": "ProgressService",
    "achievements": "Streaks and badges",
    "public_url": "Certificates",
    "api_host": "HTTP API",
}


def build_page() -> str:
    """Returns the text that docs/settings.md must have."""
    lines = [INTRODUCTION]
    for name, field in ApiSettings.model_fields.items():
        if name in TITLES:
            lines += [f"\n## {TITLES[name]}\n\n", "| variable | default | meaning |\n", "|---|---|---|\n"]
        lines.append(f"| `PROGRESS_{name.upper()}` | {format_default(field.default)} | {field.description} |\n")
    return "".join(lines)


def format_default(default: object) -> str:
    text = default.get_secret_value() if isinstance(default, SecretStr) else default
    return f"`{text}`" if text not in (None, "") else ""


def main(arguments: list[str] | None = None) -> int:
    """Writes the page; with `--check` only compares, and returns 1 if the page is out of date."""
    parser = argparse.ArgumentParser(prog="python -m worker.web.settings_page", description="Writes docs/settings.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    if not parser.parse_args(arguments).check:
        FILE.write_text(build_page(), "utf-8")
        return 0
    if FILE.exists() and FILE.read_text("utf-8") == build_page():
        return 0
    print("out of date: docs/settings.md (make contract writes it)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
