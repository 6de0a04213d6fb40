"""Sentences that the model was not made for, in the traffic of a model of intents: when are they noticed, and shown?

A linear model on TF-IDF answers with scores, as a live model would; `backstay.watch` sees text, answers and scores and
nothing else. The same traffic without the strangers is watched beside it and must raise no alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import backstay

pytestmark = pytest.mark.data

DRAWS = 3
NEW_INTENTS = 10


@dataclass(frozen=True)
class Assistant:
    """Rows of text with the answers and scores of a model that learned some of the known ones.

    Args:
        reference, known, strange: row numbers: held out; traffic that the model was made for; what it was not.
    """

    rows: pa.Table
    scores: dict[str, str]
    reference: np.ndarray
    known: np.ndarray
    strange: np.ndarray

    @staticmethod
    def of(texts: Sequence[str], intents: np.ndarray, strange: np.ndarray, fitted: int, held: int) -> Assistant:
        known = np.random.default_rng(0).permutation(np.flatnonzero(~strange))
        learned, reference = known[:fitted], known[fitted : fitted + held]
        space = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        space.fit([texts[i] for i in learned])
        features = space.transform(texts)
        model = LinearSVC(C=1.0, random_state=0).fit(features[learned], intents[learned])
        margins = model.decision_function(features)
        right = np.searchsorted(model.classes_, intents[reference])

        def surprise(scale: float) -> float:
            logs = log_softmax(scale * margins[reference], axis=1)
            return -float(logs[np.arange(len(reference)), right].mean())

        chances = softmax(minimize_scalar(surprise, bounds=(0.5, 20.0), method="bounded").x * margins, axis=1)
        columns = {f"score_{place}": chances[:, place] for place in range(len(model.classes_))}
        rows = pa.table(
            {
                "row": [f"row {i}" for i in range(len(texts))],
                "text": list(texts),
                "intent": model.classes_[chances.argmax(axis=1)].tolist(),
                **columns,
            }
        )
        names = dict(zip(model.classes_.tolist(), columns, strict=True))
        return Assistant(rows, names, reference, known[fitted + held :], np.flatnonzero(strange))

    def watched(self, shares: Sequence[float], size: int, seed: int) -> Any:
        """Windows of so many rows, with these shares of strangers; no row comes twice."""
        rng = np.random.default_rng([7, seed])
        known, strange = rng.permutation(self.known).tolist(), rng.permutation(self.strange).tolist()
        traffic: list[int] = []
        for share in shares:
            few = round(share * size)
            window = [strange.pop() for _ in range(few)] + [known.pop() for _ in range(size - few)]
            traffic += rng.permutation(window).tolist()
        return backstay.watch(
            self.rows.take(traffic),
            reference=self.rows.take(self.reference),
            prediction="intent",
            scores=self.scores,
            id="row",
            window_rows=size,
        )

    def strangers(self, signal: Any) -> float:
        """How many of the rows that the alarm shows are strangers, as a share."""
        shown = {int(one.removeprefix("row ")) for one in signal.example_ids}
        return len(shown & set(self.strange.tolist())) / len(shown)


def caught(seen: Any, shares: Sequence[float]) -> float:
    """The smallest share of strangers at which a window alarms."""
    return min((s for s, w in zip(shares, seen.windows, strict=True) if any(x.alarm for x in w.signals)), default=1.0)


def told(name: str, seen: Any, shares: Sequence[float]) -> None:
    """One line a run, for the page of figures."""
    found = [f"{s:.0%} {max(x.evidence for x in w.signals):.2f}" for s, w in zip(shares, seen.windows, strict=True)]
    print(f"\n {name}: evidence by share: {', '.join(found)}")


@pytest.fixture(scope="module")
def clinc(data_set: Callable[[str], Path]) -> Assistant:
    rows = pq.read_table(data_set("clinc150/clinc150.parquet")).to_pydict()
    return Assistant.of(rows["text"], np.array(rows["intent"], dtype=str), np.array(rows["oos"]), 7000, 5000)


@pytest.fixture(scope="module")
def banking(data_set: Callable[[str], Path]) -> Assistant:
    rows = pq.read_table(data_set("banking77/banking77.parquet")).to_pydict()
    intents = np.array(rows["category"], dtype=str)
    new = np.random.default_rng(77).permutation(np.unique(intents))[:NEW_INTENTS]
    return Assistant.of(rows["text"], intents, np.isin(intents, new), 4500, 3000)


@pytest.mark.parametrize("seed", range(DRAWS))
def test_clinc150_out_of_scope_traffic_rises_from_nothing_to_a_tenth(
    clinc: Assistant, seed: int, tmp_path: Path
) -> None:
    shares = [step / 100 for step in range(11)]
    seen = clinc.watched(shares, 1000, seed)
    told(f"CLINC150, draw {seed}", seen, shares)
    assert not any(x.alarm for x in seen.windows[0].signals)
    first = caught(seen, shares)
    assert first <= 0.07
    (alarm,) = [x for x in seen.signals if x.alarm and x.detector == "prediction"]
    assert any(words.startswith("mean confidence: ") for words in alarm.moved)
    shown = clinc.strangers(alarm)
    page = seen.page(tmp_path / "watch.html").read_text()
    texts = clinc.rows.column("text").to_pylist()
    on_page = [one for one in alarm.example_ids if texts[int(one.removeprefix("row "))][:20] in page]
    print(f" caught at {first:.0%}; of the rows shown at 10% {shown:.0%} are out of scope; {len(on_page)} on the page")
    assert shown >= 0.5
    assert on_page

    calm = clinc.watched([0.0] * 10, 1000, seed)
    told(f"CLINC150 unchanged, draw {seed}", calm, [0.0] * 10)
    assert not calm.alarming


@pytest.mark.parametrize("seed", range(DRAWS))
def test_banking77_new_intents(banking: Assistant, seed: int) -> None:
    shares = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    seen = banking.watched(shares, 600, seed)
    told(f"banking77, draw {seed}", seen, shares)
    assert not any(x.alarm for x in seen.windows[0].signals)
    first = caught(seen, shares)
    shown = [banking.strangers(x) for x in seen.signals if x.alarm]
    print(f" caught at {first:.0%}; of the rows shown at 25% {max(shown, default=0.0):.0%} are of new intents")
    assert first <= 0.2
    assert max(shown) >= 0.5

    calm = banking.watched([0.0] * 6, 600, seed)
    told(f"banking77 unchanged, draw {seed}", calm, [0.0] * 6)
    assert not calm.alarming
