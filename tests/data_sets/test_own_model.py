"""Somebody's own model of Adult, handed over from Python: the bundle answers every official test row as it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import backstay

pytestmark = pytest.mark.data


def test_boosted_trees_with_categories_and_gaps(data_set: Callable[[str], Path], tmp_path: Path) -> None:
    table = pq.read_table(data_set("adult/adult.parquet"))
    rows: pd.DataFrame = table.to_pandas()
    features = [c for c in rows.columns if c not in ("income", "split")]
    train, test = rows[rows["split"] == "train"], rows[rows["split"] == "test"]
    assert rows[features].isna().to_numpy().any()
    model = HistGradientBoostingClassifier(random_state=0).fit(train[features], train["income"])
    pq.write_table(table.filter((rows["split"] == "test").to_numpy()), tmp_path / "test.parquet")

    adopted = backstay.adopt(model, reference=tmp_path / "test.parquet", target="income", folder=tmp_path)
    accuracy, area = (adopted.report.find(metric) for metric in ("accuracy", "auc"))
    assert accuracy is not None
    assert area is not None
    assert accuracy.n == len(test)
    assert accuracy.value == pytest.approx(model.score(test[features], test["income"]), abs=1e-12)
    assert accuracy.value == pytest.approx(0.871, abs=0.002)
    assert area.value == pytest.approx(0.927, abs=0.002)
    scores = backstay.open(tmp_path).models.predict(tmp_path / "test.parquet").table
    np.testing.assert_allclose(scores["p(1)"].to_numpy(), model.predict_proba(test[features])[:, 1], atol=1e-6)
