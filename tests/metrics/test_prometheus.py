"""What the worker counts is documented, and counts what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from tests.factories import record
from worker.metrics import certificates, effects
from worker.metrics import prometheus as metrics
from worker.stream.outcome import UNKNOWN_TYPE, Skipped

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


def growth_watched() -> list[str]:
    """The series of a worker of whose growth an alert is, as Prometheus selects them."""
    [group] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    return [
        series
        for rule in group["rules"]
        for series in re.findall(r"increase\((progress_\w+(?:\{.*?\})?)\[", rule["expr"])
        if "effects" not in series  # those are tried again and again
    ]


@pytest.mark.processes
def test_what_an_alert_sees_grow_is_there_from_the_start() -> None:
    """Prometheus sees no growth in a series that begins at 1."""
    served = "import worker.metrics.prometheus, prometheus_client as c; print(c.generate_latest().decode())"
    page = subprocess.check_output([sys.executable, "-c", served], text=True, cwd=DOCS.parent)

    for series in growth_watched():
        name, _, labels = series.rstrip("}").partition("{")
        assert re.search(rf"^{name}(\{{.*{labels}.*\}})? 0\.0$", page, re.MULTILINE), series


def test_an_event_of_an_unknown_type_is_what_its_alert_watches() -> None:
    [watched] = [series for series in growth_watched() if "progress_events_total" in series]
    before = counted(watched)

    metrics.count_batch("lane", [(record(), Skipped(UNKNOWN_TYPE, "LessonRated"))], 0, 1)

    assert counted(watched) == before + 1


def counted(series: str) -> float:
    """What this process has counted in the series that a selector names; any value of the labels that it leaves out."""
    name, _, labels = series.rstrip("}").partition("{")
    wanted = dict(re.findall(r'(\w+)="(.*?)"', labels))
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    )


def test_alerts_watch_metrics_that_exist_and_say_what_to_do() -> None:
    [group] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    shown = {
        re.sub(r"_total$", "", name) for rule in group["rules"] for name in re.findall(r"progress_\w+", rule["expr"])
    }
    of_the_api = {metric._name for metric in vars(certificates).values() if isinstance(metric, MetricWrapperBase)}

    assert shown <= {metric._name for metric in ALL} | of_the_api
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in group["rules"])
