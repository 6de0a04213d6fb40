"""An anomaly model is judged by how it ranks: the default policy passes a good one, and refuses what is of no use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import Outputs
from backstay.gate.decide import decide
from backstay.kernel.clock import SystemClock
from backstay.kernel.records import Column, ColumnKind, Measurement, Report, Schema, Verdict
from backstay.loop.anomaly_gating import JUDGED_BY, measured_ranks, ranks_anomalies
from backstay.loop.gate_case import GateRows
from backstay.settings import GateSettings, Settings

CLASSES = ("bad", "good")
SCHEMA = Schema((Column("x", ColumnKind.NUMBER), Column("y", ColumnKind.CATEGORY)), ("x",), target="y")
POLICY = Settings.model_validate({"train": {"head": "anomaly"}}).gate
SHARP, DULL = 4.0, 0.0


def model(**options: Any) -> Any:
    """What the gate reads of a bundle."""
    recipe = {"head": "anomaly", "head_options": options}
    return SimpleNamespace(manifest=SimpleNamespace(recipe=recipe), classes=CLASSES)


def table(n: int, anomalies: int, far: float, seed: int) -> pa.Table:
    """Anomalies come first; how far their raw number lies from the others'."""
    x = np.random.default_rng(seed).normal(size=n) + far * (np.arange(n) < anomalies)
    return pa.table({"x": x, "y": ["bad"] * anomalies + ["good"] * (n - anomalies)})


def said(anomalies: int, sharp: float, seed: int, classes: tuple[str, ...] = CLASSES) -> Outputs:
    """Scores that tell anomalies so sharply."""
    odd = 1 / (1 + np.exp(-np.random.default_rng(seed).normal(size=300) - sharp * (np.arange(300) < anomalies)))
    scores = np.column_stack([odd, 1 - odd]).astype(np.float32)
    labels = np.where(odd > 0.5, classes[0], classes[1]).astype(object)
    return Outputs(labels, scores if classes[0] == "bad" else scores[:, ::-1], None)


def judged(
    *, anomalies: int = 30, sharp: float = SHARP, far: float = 0.5, champion: float | None = None, train: bool = True
) -> tuple[Verdict, tuple[str, ...], Report]:
    rows = GateRows(table(300, anomalies, far, 1), SCHEMA, "data-1")
    live = None if champion is None else ("model-0", CLASSES, said(anomalies, champion, 5))
    training = table(400, 40, far, 2) if train else None
    measured, compared, notes = measured_ranks((model(), said(anomalies, sharp, 4)), live, rows, training=training)
    accuracy = Measurement("accuracy", 0.9, None, 300, "data-1", "", "model")
    report = Report("report-1", "model-1", "data-1", SystemClock().now(), (accuracy, *measured), tuple(compared))
    policy = GateSettings(minimum_n=100, rules=POLICY.rules[:2])
    against = None if champion is None else "model-0"
    return decide(report, policy, model="m", environment="e", champion=against, clock=SystemClock()), notes, report


def outcome(verdict: Verdict, rule: str) -> Any:
    return next(o for o in verdict.outcomes if o.rule.startswith(rule))


def test_the_usual_policy_of_such_a_recipe_reads_auc() -> None:
    assert [(r.rule, r.metric) for r in POLICY.rules] == [
        ("beats_controls", "auc"),
        ("no_worse_than_champion", "auc"),
        ("no_slice_worse", "accuracy"),
    ]
    named = Settings.model_validate({"train": {"head": "anomaly"}, "gate": {"rules": [{"rule": "at_least"}]}})
    assert [r.rule for r in named.gate.rules] == ["at_least"]
    assert Settings.model_validate({"train": {"head": "linear"}}).gate == GateSettings()


def test_only_a_recipe_with_that_head_is_judged_so() -> None:
    assert ranks_anomalies(model())
    assert not ranks_anomalies(SimpleNamespace(manifest=SimpleNamespace(recipe={}), classes=CLASSES))  # type: ignore[arg-type]


@pytest.mark.parametrize("train", [True, False])
def test_a_sharp_one_passes_and_a_dull_one_is_refused(train: bool) -> None:
    verdict, notes, report = judged(train=train)
    assert outcome(verdict, "beats_controls").passed
    assert notes == (JUDGED_BY,)
    assert {c.against for c in report.comparisons} == {"control:majority", "control:raw_knn"}
    assert {m.of: m.value for m in report.measurements}["control:majority"] == 0.5
    found = outcome(judged(sharp=DULL, train=train)[0], "beats_controls")
    assert not found.passed
    assert "majority" in found.message


def test_one_that_is_behind_the_distance_of_raw_rows_is_refused() -> None:
    verdict, _, report = judged(sharp=1.0, far=6.0)
    assert {m.of: m.value for m in report.measurements}["control:raw_knn"] > 0.99
    found = outcome(verdict, "beats_controls")
    assert not found.passed
    assert "raw_knn (0." in found.message
    assert "majority" not in found.message


def test_the_champion_is_compared_by_its_ranks() -> None:
    assert outcome(judged(champion=1.0)[0], "no_worse").passed
    found = outcome(judged(sharp=1.0, champion=SHARP)[0], "no_worse")
    assert not found.passed
    assert "may be worse than the champion" in found.message


def test_a_champion_of_other_classes_or_without_scores_is_a_refusal() -> None:
    rows = GateRows(table(300, 30, 0.5, 1), SCHEMA, "data-1")
    blind = Outputs(np.full(300, "good", dtype=object), None, None)
    for live in (("model-0", ("odd", "good"), said(30, 1.0, 5)), ("model-0", CLASSES, blind)):
        _, compared, _ = measured_ranks((model(), said(30, SHARP, 4)), live, rows, training=None)
        assert {c.against for c in compared} == {"control:majority", "control:raw_knn"}


def test_classes_in_another_order_are_the_same_ranks() -> None:
    rows = GateRows(table(300, 30, 0.5, 1), SCHEMA, "data-1")
    turned = Outputs(said(30, 1.0, 5).labels, said(30, 1.0, 5).scores[:, ::-1], None)  # type: ignore[index]
    live = ("model-0", ("good", "bad"), turned)
    _, compared, _ = measured_ranks((model(), said(30, 1.0, 5)), live, rows, training=None)
    [found] = [c for c in compared if c.against == "model-0"]
    assert found.difference == pytest.approx(0.0, abs=1e-12)


def test_the_normal_class_may_be_named_where_it_is_the_rarer() -> None:
    rows = GateRows(table(300, 200, 6.0, 1), SCHEMA, "data-1")
    _, compared, _ = measured_ranks((model(normal="good"), said(200, SHARP, 4)), None, rows, training=None)
    assert all(c.difference > -0.1 for c in compared)
    _, turned, _ = measured_ranks((model(), said(200, SHARP, 4)), None, rows, training=None)
    assert {c.against: round(c.difference, 6) for c in compared}["control:majority"] == {
        c.against: round(c.difference, 6) for c in turned
    }["control:majority"]


def test_too_few_anomalies_are_a_refusal_that_says_so() -> None:
    verdict, notes, _ = judged(anomalies=6)
    assert not outcome(verdict, "beats_controls").passed
    assert "the gate rows hold 6 anomalies and 294 of 'good'" in notes[1]
    assert "from 10 of each on" in notes[1]
