"""What the audit says of labels that come in sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.sets import set_text
from backstay.data.audit import audit
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Finding, Severity


def look(sets: list[list[str]]) -> list[Finding]:
    """Findings on rows of which the first half trains and the rest judges."""
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=len(sets)), "tags": [set_text(s) for s in sets]})
    schema = infer_schema(table, target="tags", task="multilabel")
    half = len(sets) // 2
    parts = {"train": np.arange(half), "gate": np.arange(half, len(sets))}
    found = audit(conform(table, schema), schema, parts, data_id="data-1", task="multilabel")
    return [f for f in found if f.check == "label_sets"]


def test_labels_that_nobody_can_learn_or_judge_are_named() -> None:
    train = [["a", "all"]] * 40 + [["a", "few", "all"]] * 5 + [["b", "all"]] * 55
    gate = [["a", "all"]] * 50 + [["b", "new", "all"]] * 2 + [["b", "few", "all"]] * 48
    told = [f.message for f in look(train + gate)]
    assert told == [
        "no training row has 1 of 5 labels: new (0)",
        "fewer than 10 training rows have 1 of 5 labels: few (5)",
        "every row has 1 of 5 labels: all (100)",
    ]


def test_too_few_rows_to_judge_are_told() -> None:
    found = look(([["a"], ["a", "b"]] * 20 + [["b"]] * 4) * 2)
    assert [f.message for f in found] == ["fewer than 30 rows judge 1 of 2 labels: b (24)"]
    assert found[0].severity is Severity.MEDIUM


def test_one_label_a_row_is_a_class_and_empty_sets_are_counted() -> None:
    assert [f.message for f in look([["a"], ["b"]] * 60)] == ["every row has exactly one of 2 labels"]
    empty = next(f for f in look([["a"], ["a", "b"], ["b"], []] * 60) if f.example_rows)
    assert empty.message == "60 rows (25.0%) have no label"
    assert empty.severity is Severity.LOW
    assert empty.example_rows[:2] == (3, 7)


def test_sound_sets_have_no_finding_and_other_tasks_are_not_asked() -> None:
    assert look([["a"], ["a", "b"], ["b"]] * 60) == []
    table = pa.table({"x": np.arange(40.0), "y": ["a", "b"] * 20})
    schema = infer_schema(table, target="y")
    found = audit(conform(table, schema), schema, {"train": np.arange(40)}, data_id="d")
    assert "label_sets" not in {f.check for f in found}


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([["a"]] * 8, "one set"),
        ([[f"l{i}"] for i in range(8)], "8 of them in a single row"),
    ],
)
def test_what_is_no_target_of_sets_is_refused(sets: list[list[str]], said: str) -> None:
    with pytest.raises(BackstayError, match=said):
        look(sets)
