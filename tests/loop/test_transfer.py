"""Transfer: what holds elsewhere loses nothing, what is turned round elsewhere loses almost all; both are proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.errors import BackstayError

TOML = """
version = 1
name = "sites"
[data]
source = "rows.parquet"
target = "y"
id = "id"
[train]
model = "logistic_regression"
"""


def rows(n: int = 900, seed: int = 0) -> pa.Table:
    """Three sites with the same rule, but that of site c is turned round; d is too small."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    site = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    site[:20] = "d"
    yes = (a + 0.5 * b + rng.normal(size=n) * 0.2 > 0) ^ (site == "c")
    return pa.table(
        {
            "id": [f"r-{i}" for i in range(n)],
            "site": site,
            "a": a,
            "b": b,
            "y": np.where(yes, "yes", "no"),
        }
    )


@pytest.fixture
def project(tmp_path: Path):
    (tmp_path / "backstay.toml").write_text(TOML)
    pq.write_table(rows(), tmp_path / "rows.parquet")
    return backstay.open(tmp_path, actor="ada")


def test_the_table_tells_what_holds_and_what_does_not(project, tmp_path):
    page = tmp_path / "transfer.html"
    found = project.models.transfer("site", page=page)
    assert [d.name for d in found.domains] == ["a", "b", "c"]
    assert len(found.cells) == 9
    assert "d: " in found.left_out[0]
    same = found.cell("a", "b")
    assert same.accuracy.value > 0.85
    assert same.loss.interval.low <= 0 <= same.loss.interval.high
    turned = found.cell("a", "c")
    assert turned.accuracy.value < 0.2
    assert turned.loss.interval.high < -0.5
    assert turned.control.value < 0.3
    assert found.cell("c", "c").loss is None
    assert "4 of 6 ways to transfer lose more than chance" in found.sentence
    text = page.read_text()
    assert found.sentence in text
    assert "at home" in text


def test_nothing_is_filed_as_a_model_and_the_ledger_knows(project):
    project.models.transfer("site")
    rows_of = [(r.kind, r.body.get("by")) for r in project.ws.ledger.rows()]
    assert ("transfer", "site") in rows_of
    assert "model" not in {kind for kind, _ in rows_of}
    assert not list(project.ws.state.glob("transfer-*"))
    assert project.verify().sound


@pytest.mark.parametrize(
    ("by", "what"), [("place", "no column 'place'"), ("y", "'y' is the target"), ("id", "0 values with rows enough")]
)
def test_what_cannot_tell_domains(project, by, what):
    with pytest.raises(BackstayError, match=what) as caught:
        project.models.transfer(by)
    assert caught.value.fix
    assert "did you mean 'y'" not in caught.value.fix


def test_numbers_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text(
        TOML.replace("[data]", 'task = "regression"\n[data]').replace("logistic_regression", "ridge")
    )
    pq.write_table(rows(), tmp_path / "rows.parquet")
    with pytest.raises(BackstayError, match="transfer is measured for classes, and the task is regression") as caught:
        backstay.open(tmp_path, actor="ada").models.transfer("site")
    assert "name 'site' in data.slices" in caught.value.fix


def test_an_encoder_transfers_as_well(project, tmp_path):
    file = tmp_path / "backstay.toml"
    file.write_text(TOML.replace('model = "logistic_regression"', "epochs = 6\ndimension = 8\nlearning_rate = 0.02"))
    found = backstay.open(tmp_path).models.transfer("site")
    assert found.cell("a", "b").accuracy.value > 0.8
    assert found.cell("a", "c").accuracy.value < 0.3
