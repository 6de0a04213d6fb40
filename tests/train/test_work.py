"""What every `fit` is asked: rows, weights, and the arguments that it is called with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import ClassWork
from backstay.train.work import Trained, Work, takes

TABLE = pa.table({"a": [1.0, 2.0, 3.0, 4.0], "y": ["u", "v", "u", "v"]})
SCHEMA = Schema((Column("a", ColumnKind.NUMBER), Column("y", ColumnKind.CATEGORY)), ("a",), target="y")
PARTS = {"train": np.arange(3), "tune": np.array([3])}


def test_it_is_called_with_what_a_work_is_made_of() -> None:
    asked: list[Work] = []

    @takes(ClassWork)
    def fit(work: ClassWork) -> Trained:
        """Learns nothing."""
        asked.append(work)
        return Trained(Path(), "model-0", {}, 0.0)

    found = fit(TABLE, SCHEMA, PARTS, TrainSettings(), classes=("u", "v"), workdir=Path("here"), unlabelled=TABLE)
    assert found.model_id == "model-0"
    [work] = asked
    assert (work.classes, work.workdir, work.root, work.bundles) == (("u", "v"), Path("here"), Path(), None)
    assert work.table is TABLE
    assert fit.__doc__ == "Learns nothing."
    with pytest.raises(TypeError, match="workdir"):
        fit(TABLE, SCHEMA, PARTS, TrainSettings())


def test_rows_of_no_weight_are_left_out_of_the_train_part_alone() -> None:
    work = Work(TABLE, SCHEMA, PARTS, TrainSettings(), workdir=Path(), sample_weight=np.array([0.0, 1, 2, 0]))
    train, tune = work.weighty()
    assert (train.tolist(), tune.tolist()) == ([1, 2], [3])
    even = Work(TABLE, SCHEMA, PARTS, TrainSettings(), workdir=Path())
    assert even.weights.tolist() == [1.0, 1.0, 1.0, 1.0]
    assert even.target.to_pylist() == ["u", "v", "u", "v"]


def test_a_target_that_is_not_there_is_refused() -> None:
    with pytest.raises(BackstayError, match="no target column"):
        _ = Work(TABLE.drop_columns(["y"]), SCHEMA, PARTS, TrainSettings(), workdir=Path()).target
