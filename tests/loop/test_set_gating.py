"""Two models of sets on the same rows, where they do not know the same labels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import Outputs
from backstay.bundle.sets import members, set_text, texts_of
from backstay.data.schema import conform, infer_schema
from backstay.loop.set_gating import answers, measured_sets


def outputs(texts: list[str], labels: tuple[str, ...]) -> Outputs:
    there = members(texts, labels)
    return Outputs(texts_of(there, labels), there.astype(np.float32), None, members=there)


def test_a_label_that_a_model_does_not_know_is_one_that_it_misses() -> None:
    rng = np.random.default_rng(0)
    sets = [["a", "new"] if i % 3 == 0 else ["a"] if i % 3 == 1 else [] for i in range(60)]
    table = pa.table({"x": rng.normal(size=60), "tags": [set_text(s) for s in sets]})
    schema = infer_schema(table, target="tags", task="multilabel")
    rows, texts = conform(table, schema), [set_text(s) for s in sets]
    # The candidate knows all; the champion has another order, one label too few, and one that nobody needs.
    candidate, champion = outputs(texts, ("a", "new")), outputs(texts, ("zoo", "a"))
    measured, comparisons = measured_sets(
        (candidate, ("a", "new")),
        ("old", champion, ("zoo", "a")),
        rows,
        schema,
        training=None,
        data_id="d",
        slices={},
    )
    mine = {m.metric: m.value for m in measured if m.of == "model"}
    theirs = {m.metric: m.value for m in measured if m.of == "champion"}
    assert mine["subset_accuracy"] == mine["micro_f1"] == mine["mean_average_precision"] == 1.0
    assert theirs["subset_accuracy"] == pytest.approx(2 / 3)
    assert theirs["hamming_loss"] == pytest.approx(20 / (60 * 3))
    assert theirs["micro_f1"] == pytest.approx(2 * 40 / (40 + 60))
    better = next(c for c in comparisons if c.against == "old" and c.metric == "subset_accuracy")
    assert better.difference == pytest.approx(1 / 3)
    assert better.p_better < 0.001
    assert {c.against for c in comparisons} == {"old", "control:most_frequent_set", "control:raw_knn"}


def test_chances_stand_at_their_labels_places() -> None:
    said, scores = answers(outputs(['["b"]', '["a"]'], ("b", "a")), ("b", "a"), ("a", "b", "c"))
    assert said.tolist() == [[False, True, False], [True, False, False]]
    assert scores is not None
    assert scores.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
