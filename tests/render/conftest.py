"""A made-up year of a made-up model, so that pages can be looked at and checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.records import (
    Comparison,
    Condition,
    Decision,
    Estimate,
    Finding,
    Interval,
    LedgerRow,
    Measurement,
    ModelRecord,
    Release,
    ReleaseKind,
    Report,
    RuleOutcome,
    Severity,
    Signal,
    Task,
    Verdict,
    WindowResult,
)
from backstay.render.examples import Example
from backstay.render.timeline import Timeline, build_timeline

START = datetime(2026, 1, 5, tzinfo=UTC)
DATA = "data-" + "ab12" * 8
FIRST, SECOND = "model-" + "0a1b" * 8, "model-" + "9f8e" * 8


def at(weeks: float) -> datetime:
    return START + timedelta(weeks=weeks)


def truth_of(week: int) -> float:
    if week < 6:
        return 0.962 - 0.001 * (week % 3)
    if week < 14:
        return 0.962 - 0.02 * (week - 5)
    return 0.955 - 0.002 * (week % 2) if week < 20 else 0.79


def signals(week: int, change: float) -> tuple[Signal, ...]:
    rng = np.random.default_rng(week)
    drift = 0.05 * float(rng.uniform(0.5, 4)) * 10 ** (change * 14)
    return (
        Signal(
            "embedding",
            drift,
            drift >= 1,
            0.004,
            900,
            "the inputs look different from the reference" if drift >= 1 else "the inputs look as before",
            moved=("the images have less contrast than before",) if drift >= 1 else (),
            example_ids=tuple(f"p{i}" for i in range(8)),
        ),
        Signal("prediction", drift / 3, drift / 3 >= 1, 0.004, 900, "answers of 8 are 6.1 points more frequent"),
        Signal("columns", 0.0, False, 0.0, 900, "not judged: no columns", figures={"judged": False}),
        Signal(
            "labelled_error",
            0.02 if week < 20 else 0.3 * 4.0 ** (week - 20),
            week > 20,
            0.002,
            12,
            "errors among standing labels",
        ),
    )


def window(week: int) -> WindowResult:
    truth = truth_of(week)
    change = max(0.0, 0.962 - truth) if 6 <= week < 14 else 0.0
    found = signals(week, change)
    free = 0.96 - 0.7 * change
    estimates = [
        Estimate(
            "label-free",
            "accuracy",
            None if change > 0.1 else free,
            None if change > 0.1 else Interval(free - 0.02, free + 0.015),
            900,
            "the chance of each label given its input is unchanged",
            refusals=("the traffic lies too far from the reference",) if change > 0.1 else (),
            labels_needed=50 if change > 0.1 else 0,
        )
    ]
    if week >= 12:
        estimates.append(
            Estimate(
                "ppi", "accuracy", truth + 0.01, Interval(truth - 0.05, truth + 0.055, method="PPI++"), 3600,
                "the labelled rows were drawn at random", labels=50, labels_needed=140,
            )
        )  # fmt: skip
    alarm = any(s.alarm for s in found)
    condition = Condition.WORSE if week > 20 else Condition.MOVED if alarm else Condition.FINE
    return WindowResult(
        id=f"window-{week:02d}",
        model="digits",
        environment="production",
        release_id="release-1",
        start=at(week),
        end=at(week + 1),
        rows=900,
        condition=condition,
        signals=found,
        estimates=tuple(estimates),
        headline="Moved: the images have less contrast than before. Accuracy cannot be estimated without labels."
        if alarm
        else "Probably fine: inputs and answers look as they did when the model was released.",
        advice=("Look at the examples: was this to be expected, and is it meant to stay?",) if alarm else (),
        label_age_days=None if week < 12 else 2.4,
        budget_spent=0.01 * (week + 1),
        budget=1.0,
        created_at=at(week + 1),
        new_alarms=("embedding",) if week == 9 else ("labelled_error",) if week == 21 else (),
        labels_requested=50 if change > 0.1 else 0,
        figures={"reference_accuracy": {"value": 0.962, "low": 0.951, "high": 0.972, "n": 1200}},
    )


def digit(seed: int, contrast: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ring = np.hypot(*(np.indices((8, 8)) - 3.5 + rng.uniform(-0.5, 0.5)))
    ink = np.exp(-((ring - 2.3) ** 2)) * (1 - 0.2 * rng.random((8, 8)))
    return np.clip(40 + 200 * contrast * ink, 0, 255).astype(np.uint8)[:, :, None]


@pytest.fixture(scope="session")
def results() -> tuple[WindowResult, ...]:
    return tuple(window(week) for week in range(24))


@pytest.fixture(scope="session")
def releases() -> tuple[Release, ...]:
    rows = (
        (1, FIRST, ReleaseKind.ADOPTED, 0.0, "adopted from the scanner's vendor"),
        (2, SECOND, ReleaseKind.PROMOTED, 14.0, "better on the same rows, no slice worse"),
        (3, FIRST, ReleaseKind.ROLLBACK, 22.6, "drill"),
        (4, SECOND, ReleaseKind.ROLLBACK, 22.8, "drill over"),
    )
    return tuple(
        Release(f"release-{n}", n, "digits", "production", m, k, n > 1, "demo", why, at(w)) for n, m, k, w, why in rows
    )


@pytest.fixture(scope="session")
def ledger_rows() -> tuple[LedgerRow, ...]:
    bodies = (
        (12.0, "labels", {"count": 50}),
        (13.8, "labels", {"count": 520}),
        (16.0, "verdict", {"passed": False, "candidate": FIRST, "reasons": ["worse where scanner=B by 6.2 points"]}),
        (16.1, "verdict", {"passed": False, "candidate": FIRST, "reasons": ["not shown to be better (p = 0.31)"]}),
        (16.2, "promotion_refused", {"reason": "its verdict did not pass"}),
        (17.0, "verdict", {"passed": True, "candidate": SECOND, "reasons": []}),
    )
    return tuple(LedgerRow(i, at(w), "demo", k, b, "p" * 8, "h" * 8) for i, (w, k, b) in enumerate(bodies, 1))


@pytest.fixture(scope="session")
def timeline(results, releases, ledger_rows) -> Timeline:
    return build_timeline(results, releases, ledger_rows, {r.id: truth_of(i) for i, r in enumerate(results)})


@pytest.fixture(scope="session")
def report() -> Report:
    nan = float("nan")
    return Report(
        id="report-1",
        model_id=SECOND,
        data_id=DATA,
        created_at=at(14),
        measurements=(
            Measurement("accuracy", 0.957, Interval(0.944, 0.968), 1200, DATA),
            Measurement("auc", 0.991, Interval(0.986, 0.995), 1200, DATA),
            Measurement("log_loss", 0.162, Interval(0.14, 0.188), 1200, DATA),
            Measurement("calibration_error", 0.012, Interval(0.004, 0.021), 1200, DATA),
            Measurement("accuracy", 0.931, Interval(0.89, 0.96), 240, DATA, slice="scanner=B"),
            Measurement("recall", nan, None, 3, DATA, slice="scanner=C"),
            Measurement("accuracy", 0.104, Interval(0.088, 0.122), 1200, DATA, of="control:majority"),
        ),
        comparisons=(
            Comparison("accuracy", FIRST, 0.112, Interval(0.09, 0.134), 0.094, 1e-9, 1.0, 1200, DATA),
            Comparison("accuracy", "control:raw_knn", nan, None, nan, nan, nan, 0, DATA, slice="scanner=C"),
        ),
        champion=FIRST,
        findings=(
            Finding("overlap", Severity.HIGH, "31 gate rows are also trained on", "remove them", DATA, count=31),
        ),
        notes=("drawn from rows labelled in April",),
    )


@pytest.fixture(scope="session")
def verdict() -> Verdict:
    return Verdict(
        id="verdict-1",
        model="digits",
        environment="production",
        candidate=SECOND,
        champion=FIRST,
        report_id="report-1",
        data_id=DATA,
        policy_digest="sha256:" + "cd" * 32,
        passed=False,
        outcomes=(
            RuleOutcome("at_least", True, "accuracy is at least 90.0%: 94.4% at the low end"),
            RuleOutcome("no_slice_worse", False, "worse where scanner=B by 6.2 points (p = 0.003)"),
        ),
        created_at=at(14),
    )


@pytest.fixture(scope="session")
def model() -> ModelRecord:
    return ModelRecord(
        SECOND, "digits", Task.CLASSIFICATION, "trained", at(14), data_id=DATA, classes=tuple("0123456789"),
        recipe={"encoder": "conv", "epochs": 40}, figures={"effective_rank": 31.2, "parity": 2e-6},
    )  # fmt: skip


@pytest.fixture(scope="session")
def examples() -> dict[str, Example]:
    return {f"p{i}": Example(digit(i, 0.35), {}, str(i % 10), 0.5 + 0.05 * i) for i in range(10)}


@pytest.fixture(scope="session")
def reference_examples() -> list[Example]:
    return [Example(digit(50 + i), {}, str(i % 10), 0.99) for i in range(10)]


@pytest.fixture(scope="session")
def decision() -> Decision:
    return Decision(
        True, "Retrain: waiting 90 days costs at least 4,310, retraining 820.",
        {"error rate now": 0.121, "error rate after": 0.04, "known from": "50 labels"},
    )  # fmt: skip
