"""A distilled model's report says whether the teacher's gallery stays valid, and whether rows were lacking for it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from backstay.kernel.records import ModelRecord, Task
from backstay.loop.distilled import fewest_rows, space_note
from backstay.maths.paired import paired_difference


def student(same: bool, low: float, rows: int, **options: float) -> ModelRecord:
    figures = {"teacher": "model-t", "student_knn": 0.98, "teacher_knn": 0.99, "same_space": same}
    return ModelRecord(
        id="model-s",
        model="m",
        task=Task.CLASSIFICATION,
        origin="trained",
        created_at=datetime(2026, 1, 5, tzinfo=UTC),
        recipe={"objective_options": options},
        figures={**figures, "student_behind_low": low, "tune_rows": rows},
    )


def test_a_student_in_its_teachers_space_keeps_the_gallery() -> None:
    assert space_note(student(True, -0.015, 400)) == (
        "lives in the space of model-t: a gallery of its embeddings stays valid (of 400 tuning rows 0.980 find their "
        "class among the teacher's embeddings by its own, 0.990 by the teacher's; at worst 0.015 behind, "
        "allowed are 0.02)",
    )


def test_a_student_elsewhere_is_to_be_indexed_again() -> None:
    (note,) = space_note(student(False, -0.12, 400, margin=0.1))
    assert note.startswith(
        "not shown to live in the space of model-t: its gallery does not stay valid, index again after promotion"
    )
    assert note.endswith("at worst 0.120 behind, allowed are 0.1)")


def test_too_few_rows_are_called_that() -> None:
    (note,) = space_note(student(False, -0.037, 80))
    assert note.endswith("even without a single error fewer than 149 tuning rows cannot show it)")
    (never,) = space_note(student(False, -0.01, 80, margin=0.0))
    assert never.endswith("so narrow a margin cannot be shown)")


@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_the_fewest_rows_are_the_fewest(margin: float) -> None:
    found = fewest_rows(margin)
    assert found is not None
    low = [paired_difference(np.ones(n), np.ones(n)).one_sided_low for n in (found - 1, found)]
    assert low[0] <= -margin < low[1]


def test_a_model_that_nobody_taught_says_nothing() -> None:
    plain = student(True, 0.0, 80)
    assert space_note(ModelRecord(plain.id, plain.model, plain.task, plain.origin, plain.created_at)) == ()
