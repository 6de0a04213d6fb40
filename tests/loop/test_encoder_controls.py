"""The encoder's space beside raw rows and an untrained encoder: a useless one is refused by the default policy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import Outputs
from backstay.evaluate.case import Case
from backstay.gate.decide import decide
from backstay.kernel.clock import SystemClock
from backstay.kernel.records import Column, ColumnKind, Comparison, Report, Schema
from backstay.loop.encoder_controls import EncoderRows, encoder_controls
from backstay.loop.value_gating import controls, measured_values
from backstay.settings import GateSettings

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 2, 400)
KNOWN = RNG.integers(0, 2, 300)


def space(signal):
    """Gallery and gate rows whose first place tells the class with this strength."""
    return tuple(
        (RNG.normal(size=(len(c), 3)) + np.outer(c * signal, [1, 0, 0])).astype(np.float32) for c in (KNOWN, TRUTH)
    )


def decided(trained, untrained, raw_right=0.8):
    predicted = np.where(RNG.random(400) < raw_right, TRUTH, 1 - TRUTH)
    raw = Case(TRUTH, predicted, None, None, None, ("a", "b"))
    measured, compared = encoder_controls(EncoderRows(KNOWN, trained, untrained), raw, k=5, data_id="data-1")
    simple = tuple(
        Comparison("accuracy", f"control:{name}", 0.2, None, 0.15, 0.01, 0.99, 400, "data-1")
        for name in ("majority", "raw_knn")
    )
    report = Report("report-1", "model-1", "data-1", SystemClock().now(), measured, simple + compared)
    verdict = decide(report, GateSettings(), model="m", environment="e", champion=None, clock=SystemClock())
    return measured, next(o for o in verdict.outcomes if o.rule.startswith("beats_controls"))


def test_a_good_encoder_passes_and_its_figures_stand_beside_those_of_the_controls():
    measured, outcome = decided(space(5.0), space(0.5))
    assert outcome.passed
    figures = {m.of: m.value for m in measured}
    assert {m.metric for m in measured} == {"knn_accuracy"}
    assert figures["model"] > 0.97 > figures["control:raw_knn"] > figures["control:random_encoder"]


@pytest.mark.parametrize(
    ("trained", "untrained", "raw", "told"),
    [(0.0, 0.0, 0.9, "the raw input (0."), (0.5, 5.0, 0.5, "the same encoder untrained (0.")],
)
def test_a_useless_encoder_is_refused_in_a_sentence(trained, untrained, raw, told):
    _, outcome = decided(space(trained), space(untrained), raw)
    assert not outcome.passed
    assert outcome.message.startswith("the encoder may be of no use: nearest neighbours in its space may be behind")
    assert told in outcome.message
    assert " behind, " in outcome.message


def test_the_comparison_that_is_missing_is_a_refusal():
    measured, _ = decided(space(5.0), space(0.5))
    simple = Comparison("accuracy", "control:majority", 0.2, None, 0.15, 0.01, 0.99, 400, "data-1")
    report = Report("report-1", "model-1", "data-1", SystemClock().now(), measured, (simple,))
    verdict = decide(report, GateSettings(), model="m", environment="e", champion=None, clock=SystemClock())
    outcome = next(o for o in verdict.outcomes if o.rule.startswith("beats_controls"))
    assert not outcome.passed
    assert "control:random_encoder" in outcome.message


def test_a_trained_project_measures_its_encoder_against_both(trained):
    ws = trained.open().ws
    (report,) = ws.catalog.find("report", Report)
    assert {c.against for c in report.comparisons if c.metric == "knn_accuracy"} == {
        "control:raw_knn",
        "control:random_encoder",
    }
    assert {m.of for m in report.measurements if m.metric == "knn_accuracy"} >= {"model", "control:random_encoder"}


def test_a_linear_model_that_is_ahead_refuses_in_a_sentence_of_its_own():
    measured, _ = decided(space(5.0), space(0.5))
    simple = tuple(
        Comparison("accuracy", f"control:{name}", value, None, value - 0.01, 0.5, 0.5, 400, "data-1")
        for name, value in {"majority": 0.2, "raw_knn": -0.06, "raw_linear": -0.041}.items()
    )
    _, compared = encoder_controls(
        EncoderRows(KNOWN, space(5.0), space(0.5)),
        Case(TRUTH, TRUTH[::-1].copy(), None, None, None, ("a", "b")),
        k=5,
        data_id="data-1",
    )

    def message(*names):
        chosen = tuple(c for c in simple if c.against.removeprefix("control:") in names)
        report = Report("report-1", "model-1", "data-1", SystemClock().now(), measured, chosen + compared)
        verdict = decide(report, GateSettings(), model="m", environment="e", champion=None, clock=SystemClock())
        outcome = next(o for o in verdict.outcomes if o.rule.startswith("beats_controls"))
        assert not outcome.passed
        return outcome.message

    sentence = (
        "the encoder may be of no use: the model may be behind a linear one on the same columns by more than the "
        "margin of 0.02 (0.041 behind, 0.051 at worst)"
    )
    assert message("majority", "raw_linear") == sentence
    assert message("majority", "raw_knn", "raw_linear") == (
        "may be behind simple controls by more than the margin of 0.02: raw_knn (0.060 behind, 0.070 at worst); "
        + sentence
    )


@pytest.fixture
def judged(trained):
    """What a run with these settings leads to under the usual policy: controls of accuracy, and the verdict."""

    def run(*changes):
        path = trained.folder / "backstay.toml"
        text = path.read_text().replace('rules = [ { rule = "no_worse_than_champion", margin = 0.2 } ]', "")
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text)
        offered = trained.open().models.run()
        compared = {c.against for c in offered.report.comparisons if c.metric == "accuracy" and not c.slice}
        return {c.removeprefix("control:") for c in compared if c.startswith("control:")}, offered

    return run


def test_a_model_without_an_encoder_is_not(judged):
    controls, _ = judged(("[train]", '[train]\nmodel = "decision_tree"'))
    assert controls == {"majority", "raw_knn"}


def test_an_encoder_of_a_table_that_learned_too_little_is_refused_beside_a_line(judged):
    controls, offered = judged(("epochs = 3", "epochs = 1"), ("learning_rate = 0.02", "learning_rate = 0.0001"))
    assert controls == {"majority", "raw_knn", "raw_linear"}
    figures = {m.of: m.value for m in offered.report.measurements if m.metric == "accuracy" and not m.slice}
    assert figures["control:raw_linear"] > 0.95  # the truth is the sign of a + b
    (found,) = (r for r in offered.verdict.reasons if "the encoder may be of no use" in r)
    assert "the model may be behind a linear one on the same columns by more than" in found


def test_a_regression_with_an_encoder_has_a_line_beside_it():
    a = RNG.normal(size=200)
    table = pa.table({"a": a, "y": 3 * a + 40})
    columns = (Column("a", ColumnKind.NUMBER), Column("y", ColumnKind.NUMBER))
    schema = Schema(columns, ("a",), "y")
    training, rows = table.slice(0, 150), table.slice(150)
    truth = rows.column("y").to_numpy()

    def compared(embeddings, learned):
        outputs = Outputs(np.array([str(v) for v in truth], dtype=object), None, embeddings, numbers=truth)
        _, found = measured_values(outputs, None, rows, schema, training=learned, data_id="data-1", slices={})
        return {c.against.removeprefix("control:") for c in found}

    usual, embeddings = {"mean", "median", "raw_knn"}, np.zeros((50, 2), np.float32)
    assert compared(embeddings, training) == {*usual, "raw_linear"}
    assert compared(None, training) == compared(embeddings, None) == usual
    assert controls(rows, schema, truth, training, linear=True)["raw_linear"] == pytest.approx(truth, abs=0.2)
