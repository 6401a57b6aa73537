"""What the worker counts is documented, and counts what it says."""

import re
from pathlib import Path

import yaml
from prometheus_client.metrics import MetricWrapperBase

from worker.metrics import certificates, effects
from worker.metrics import prometheus as metrics

DOCS = Path(__file__).parents[2] / "docs"
ALL = [
    metric for module in (metrics, effects) for metric in vars(module).values() if isinstance(metric, MetricWrapperBase)
]


def test_the_page_lists_every_metric_with_its_labels_and_meaning() -> None:
    page = (DOCS / "metrics.md").read_text()
    rows = re.findall(r"^\| `(progress_\w+)` \| (.*?) ?\| (.+) \| (.+) \|$", page, re.MULTILINE)

    assert [(name, re.findall(r"`(\w+)`", labels), meaning) for name, labels, meaning, _ in rows] == [
        (metric._name, list(metric._labelnames), metric._documentation) for metric in ALL
    ]


def test_no_label_is_of_a_user_or_a_course() -> None:
    assert {label for metric in ALL for label in metric._labelnames} <= {
        "type", "outcome", "stage", "error", "partition", "topic", "group", "whose", "kind"
    }  # fmt: skip


def test_alerts_watch_metrics_that_exist_and_say_what_to_do() -> None:
    [group] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    shown = {
        re.sub(r"_total$", "", name) for rule in group["rules"] for name in re.findall(r"progress_\w+", rule["expr"])
    }
    of_the_api = {metric._name for metric in vars(certificates).values() if isinstance(metric, MetricWrapperBase)}

    assert shown <= {metric._name for metric in ALL} | of_the_api
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in group["rules"])
