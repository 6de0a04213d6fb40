"""A small world with a calibrated classifier in it, from which references and windows of traffic are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.records import Label, LabelUse
from backstay.monitor import label_free
from backstay.monitor.detectors import Look
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import LabelledRow, WindowData
from backstay.settings import Settings, parse

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CLASSES = ("cat", "dog", "eel")
WEIGHTS = np.array([[3.0, -3.0, 0.0], [0.0, 3.0, -3.0], [1.5, 0.0, -1.5], [0.0, 0.0, 0.0]])


def settings_of(**sections) -> Settings:
    return parse({"version": 1, **sections})


@dataclass
class World:
    """Rows x ~ N(shift, 1) in four dimensions; the model's scores are the true chances, so it is calibrated."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    drawn: int = 0

    def rows(self, n: int, shift: float = 0.0, swapped: bool = False):
        x = self.rng.normal(size=(n, 4))
        x[:, 0] += shift
        logits = x @ WEIGHTS
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        truth = (scores.cumsum(axis=1) < self.rng.random((n, 1))).sum(axis=1)
        if swapped:
            truth = np.array([1, 0, 2])[truth]
        predicted = scores.argmax(axis=1)
        return x, scores, predicted, truth

    def columns(self, x):
        plan = np.where(x[:, 1] > 0.5, "gold", "plain").astype(object)
        return {"age": 40 + 10 * x[:, 0], "plan": plan, "country": np.full(len(x), "NL", dtype=object)}

    def reference(self, n: int = 2000, *, columns: bool = True, groups=None, **parts) -> Reference:
        x, scores, predicted, truth = self.rows(n)
        given = {
            "representation": x,
            "scores": scores,
            "correct": predicted == truth,
            "truth": np.array(CLASSES, dtype=object)[truth],
            "columns": self.columns(x) if columns else None,
            "traits": {"brightness": x[:, 0]},
            "groups": groups,
            **parts,
        }
        return fit_reference(np.array(CLASSES, dtype=object)[predicted], CLASSES, **given)

    def window(
        self,
        week: int = 0,
        n: int = 300,
        *,
        shift: float = 0.0,
        swapped: bool = False,
        labels: int = 0,
        probability: float | None = 0.1,
        columns: bool = True,
        days: float = 7.0,
        **parts,
    ) -> WindowData:
        x, scores, predicted, truth = self.rows(n, shift, swapped)
        names = np.array(CLASSES, dtype=object)
        start = BEGIN + timedelta(days=7.0 * week)
        self.drawn += 1
        ids = np.array([f"{self.drawn}-{i}" for i in range(n)], dtype=object)
        moments = [start + timedelta(days=days * i / n) for i in range(n)]
        chosen = self.rng.choice(n, labels, replace=False)
        labelled = tuple(
            labelled_row(
                str(ids[i]),
                CLASSES[predicted[i]],
                CLASSES[truth[i]],
                moments[i],
                scores=tuple(map(float, scores[i])),
                probability=probability,
            )
            for i in chosen
        )
        given = {
            "representation": x,
            "scores": scores,
            "columns": self.columns(x) if columns else {},
            "traits": {"brightness": x[:, 0]},
            "labels": labelled,
            **parts,
        }
        times = np.array([np.datetime64(m.replace(tzinfo=None), "us") for m in moments])
        return WindowData(start, start + timedelta(days=days), ids, times, names[predicted], **given)


def labelled_row(
    prediction_id: str,
    predicted: str,
    value: str,
    at: datetime,
    *,
    scores=None,
    probability: float | None = 0.1,
    trusted: bool = True,
    use: LabelUse = LabelUse.STANDING,
    census: bool = False,
    group: str | None = None,
) -> LabelledRow:
    label = Label(
        prediction_id=prediction_id,
        value=value,
        source="review",
        trusted=trusted,
        adjudicated=True,
        use=use,
        at=at + timedelta(days=1),
        model="model",
        environment="production",
        group=group,
        probability=probability,
    )
    return LabelledRow(label, predicted, at, scores, census)


def look_of(alpha: float = 0.01, **parts) -> Look:
    given = {"per_year": 0.4, "years": 0.2, "labels_per_year": 600.0, "tolerance": 0.02, **parts}
    return Look(alpha=alpha, **given)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    """Bootstraps of 30 draws: these tests are not about the last digit of an interval."""
    monkeypatch.setattr(label_free, "DRAWS", 30)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world():
    return lambda seed: World(np.random.default_rng(seed))


@pytest.fixture
def settings() -> Settings:
    return settings_of()


@pytest.fixture
def make_settings():
    return settings_of


@pytest.fixture
def make_label():
    return labelled_row


@pytest.fixture
def look():
    return look_of


@pytest.fixture
def begin() -> datetime:
    return BEGIN
