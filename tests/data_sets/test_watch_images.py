"""Pictures that a model was not made for: a class of clothes it never learned, and pictures out of focus.

The model is principal components and a linear softmax, learned from 8,000 pictures without the class; `backstay.watch`
sees the components as embeddings, the answers and the scores. Unchanged traffic is watched beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import backstay

pytestmark = pytest.mark.data

LEARNED, REFERENCE, WINDOW, WINDOWS = 8000, 5000, 1000, 8
NEW = 0.1


@dataclass(frozen=True)
class Shop:
    """A model of nine classes, its reference rows, and test pictures of what it knows and of what is new."""

    components: PCA
    model: LogisticRegression
    reference: np.ndarray
    known: np.ndarray
    new: np.ndarray

    @staticmethod
    def without(pictures: dict[str, np.ndarray], missing: int) -> Shop:
        labels = pictures["y_train"]
        order = np.random.default_rng(0).permutation(np.flatnonzero(labels != missing))
        learned, held = order[:LEARNED], order[LEARNED : LEARNED + REFERENCE]
        flat = _flat(pictures["x_train"][learned])
        components = PCA(48, random_state=0).fit(flat)
        model = LogisticRegression(max_iter=300, C=0.1).fit(components.transform(flat), labels[learned])
        test, truth = pictures["x_test"], pictures["y_test"]
        return Shop(components, model, pictures["x_train"][held], test[truth != missing], test[truth == missing])

    def answered(self, pictures: np.ndarray, first: int = 0) -> pa.Table:
        """What the model's log would hold of these pictures."""
        rows = self.components.transform(_flat(pictures))
        chances = self.model.predict_proba(rows)
        scores = {f"score_{name}": chances[:, place] for place, name in enumerate(self.model.classes_)}
        answers = [str(name) for name in self.model.classes_[chances.argmax(axis=1)]]
        ids = [f"row {first + i}" for i in range(len(rows))]
        return pa.table({"row": ids, "space": list(rows.astype(np.float32)), "answer": answers, **scores})

    def watched(self, traffic: pa.Table) -> Any:
        return backstay.watch(
            traffic,
            reference=self.answered(self.reference),
            embedding="space",
            prediction="answer",
            scores={str(name): f"score_{name}" for name in self.model.classes_},
            id="row",
            window_rows=WINDOW,
        )


def _flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255.0


def _evidence(seen: Any) -> str:
    return ", ".join("/".join(f"{x.detector} {x.evidence:.2f}" for x in w.signals) for w in seen.windows)


@pytest.fixture(scope="module")
def pictures(data_set: Callable[[str], Path]) -> dict[str, np.ndarray]:
    with np.load(data_set("fashion_mnist/fashion_mnist.npz"), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize("missing", [2, 5, 8], ids=["pullover", "sandal", "bag"])
def test_a_class_that_was_never_learned_and_pictures_out_of_focus(
    pictures: dict[str, np.ndarray], missing: int
) -> None:
    shop = Shop.without(pictures, missing)
    order = np.random.default_rng([3, missing]).permutation(len(shop.known))
    calm = shop.watched(shop.answered(shop.known[order[: WINDOW * WINDOWS]]))
    print(f"\n without class {missing}: unchanged: {_evidence(calm)}")
    assert len(calm.windows) == WINDOWS
    assert not calm.alarming

    few = round(NEW * WINDOW)
    mixed = np.concatenate([shop.known[order[: WINDOW - few]], shop.new[:few]])
    seen = shop.watched(shop.answered(mixed))
    alarms = [x for x in seen.signals if x.alarm]
    shown = max((_new_share(x, WINDOW - few) for x in alarms), default=0.0)
    print(f" a tenth of class {missing}: {_evidence(seen)}; of the rows shown {shown:.0%} are of it")
    assert alarms
    assert shown >= 0.5
    grown = [cell for cell in seen.located.cells if cell.grew]
    shown = [_new_share(cell, WINDOW - few) for cell in grown]
    print(f" where: {seen.located.headline}; of the rows shown of it {np.mean(shown):.0%} are of it")
    print("\n".join(f"   {cell.line}" for cell in grown))
    assert grown
    assert min(shown) >= 0.5

    for sigma in (0.5, 1.0):
        blurred = gaussian_filter(shop.known[order[:WINDOW]].astype(np.float32), (0.0, sigma, sigma))
        dim = shop.watched(shop.answered(blurred))
        print(f" blur of {sigma} pixels: {_evidence(dim)}")
    assert dim.alarming


def _new_share(shows: Any, first_new: int) -> float:
    """Of the rows that a signal or a cluster shows, the share of the new class."""
    shown = [int(one.removeprefix("row ")) for one in shows.example_ids]
    return float(np.mean([row >= first_new for row in shown]))
