"""The newest window as gauges, and alert rules that name only what there is."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from backstay.kernel.records import Condition, Estimate, Interval, Signal, WindowResult
from backstay.serve.metrics import Metrics, watch_text

RULES = Path(__file__).parents[2] / "docs" / "alerts.yml"
START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = WindowResult(
    id="window-1", model="m", environment="production", release_id="r", start=START, end=START + timedelta(days=7),
    rows=300, condition=Condition.MOVED, signals=(Signal("columns", 1.5, True, 0.01, 300, ""),),
    estimates=(
        Estimate("ppi", "accuracy", 0.9, Interval(0.85, 0.95), 300, ""),
        Estimate("label-free", "accuracy", None, None, 300, "", ("inputs moved",)),
    ),
    headline="", advice=(), label_age_days=2.0, budget_spent=0.2, budget=1.0, created_at=START,
    figures={"days_watched": 90.0},
)  # fmt: skip


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (s.name, frozenset((k, v) for k, v in s.labels.items() if k not in ("model", "environment"))): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


def test_figures_of_a_window():
    found = samples(watch_text(WINDOW))
    assert found["backstay_condition", frozenset({("condition", "moved")})] == 1
    assert found["backstay_condition", frozenset({("condition", "worse")})] == 0
    assert found["backstay_detector_evidence", frozenset({("detector", "columns")})] == 1.5
    assert found["backstay_label_age_seconds", frozenset()] == 2 * 86_400
    assert found["backstay_window_end_timestamp_seconds", frozenset()] == (START + timedelta(days=7)).timestamp()
    low = frozenset({("kind", "ppi"), ("metric", "accuracy"), ("bound", "low")})
    assert found["backstay_estimate", low] == 0.85
    assert not any(("kind", "label-free") in labels for _, labels in found)


def test_what_the_next_window_does_not_say_does_not_linger():
    metrics = Metrics()
    metrics.watch.show(WINDOW)
    metrics.watch.show(replace(WINDOW, estimates=(), signals=(), label_age_days=None, condition=Condition.UNKNOWN))
    found = samples(metrics.text())
    names = {name for name, _ in found}
    assert names.isdisjoint({"backstay_estimate", "backstay_detector_alarm", "backstay_label_age_seconds"})
    assert found["backstay_condition", frozenset({("condition", "please label")})] == 1


def test_a_file_of_several_models_has_the_figures_of_each():
    other = replace(WINDOW, model="second", rows=500, condition=Condition.WORSE, label_age_days=None)
    text = watch_text(WINDOW, other).decode()
    found = {
        (s.name, s.labels["model"], s.labels.get("condition", "")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    assert (found["backstay_window_rows", "m", ""], found["backstay_window_rows", "second", ""]) == (300, 500)
    assert found["backstay_condition", "m", "moved"] == found["backstay_condition", "second", "worse"] == 1
    assert ("backstay_label_age_seconds", "m", "") in found
    assert ("backstay_label_age_seconds", "second", "") not in found


def labels_old(window: WindowResult) -> bool:
    """The rule LabelsOld as Prometheus reads it: `or` and `unless` match series of the same labels."""
    rule = re.search(r"alert: LabelsOld\n(?:\s+#.*\n)?\s+expr: (.*)", RULES.read_text())
    assert rule is not None
    parts = re.fullmatch(r"(\w+) > ([\d* ]+) or \((\w+) unless (\w+)\) > ([\d* ]+)", rule[1])
    assert parts is not None
    found = {name: value for (name, labels), value in samples(watch_text(window)).items() if not labels}
    product = [float(np.prod([float(n) for n in limit.split("*")])) for limit in (parts[2], parts[5])]
    old = found.get(parts[1], 0.0) > product[0]
    return old or (parts[4] not in found and found.get(parts[3], 0.0) > product[1])


def test_old_labels_are_told_and_also_where_no_label_ever_came():
    never = replace(WINDOW, label_age_days=None)
    assert not labels_old(WINDOW)  # a label two days old, of a release that is watched for ninety
    assert labels_old(replace(WINDOW, label_age_days=61.0))
    assert labels_old(never)
    assert not labels_old(replace(never, figures={"days_watched": 59.0}))


def test_alert_rules_name_metrics_and_conditions_that_exist():
    metrics = Metrics()
    metrics.watch.show(WINDOW)
    metrics.requests.labels("200").inc()
    there = {name for name, _ in samples(metrics.text())}
    rules = RULES.read_text()
    named = set(re.findall(r"backstay_\w+", "\n".join(re.findall(r"expr: (.*)", rules))))
    assert named
    assert named <= there
    assert set(re.findall(r'condition="([^"]+)"', rules)) <= {c.value for c in Condition}
