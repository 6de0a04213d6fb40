"""Transfer: what holds elsewhere loses nothing, what is turned round elsewhere loses almost all; both are proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.bundle.model import Model, Outputs
from backstay.cli.main import run
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


def test_a_column_that_is_ignored_is_told_apart_from_one_that_is_not_there(project, tmp_path):
    file = tmp_path / "backstay.toml"
    file.write_text(TOML.replace('id = "id"', 'id = "id"\nignore = ["site"]'))
    with pytest.raises(BackstayError, match=r"'site' stands under data\.ignore") as refusal:
        backstay.open(tmp_path).models.transfer("site")
    assert "take it out of there" in refusal.value.fix
    with pytest.raises(BackstayError, match="there is no column 'sight'"):
        backstay.open(tmp_path).models.transfer("sight")


def test_the_table_tells_what_holds_and_what_does_not(project, tmp_path):
    page = tmp_path / "transfer.html"
    found = project.models.transfer("site", page=page)
    assert [d.name for d in found.domains] == ["a", "b", "c"]
    assert len(found.cells) == 9
    assert "d: " in found.left_out[0]
    same = found.cell("a", "b")
    assert same.figure.value > 0.85
    assert same.loss.interval.low <= 0 <= same.loss.interval.high
    turned = found.cell("a", "c")
    assert turned.figure.value < 0.2
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


def of_task(folder: Path, task: str, model: str, table: pa.Table) -> backstay.Project:
    (folder / "backstay.toml").write_text(
        TOML.replace("[data]", f'task = "{task}"\n[data]').replace("logistic_regression", model)
    )
    pq.write_table(table, folder / "rows.parquet")
    return backstay.open(folder, actor="ada")


def with_target(values: list[object], table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("y"), "y", pa.array(values))


def test_numbers_are_judged_by_their_mean_absolute_error(tmp_path: Path) -> None:
    """The rule of a and b is 10 (a + b); that of c has the other sign. Noise has a mean absolute error of 0.8."""
    table = rows()
    rng = np.random.default_rng(5)
    sign = np.where(np.array(table["site"].to_pylist()) == "c", -1.0, 1.0)
    numbers = 10 * sign * (table["a"].to_numpy() + table["b"].to_numpy()) + rng.normal(size=900)
    project = of_task(tmp_path, "regression", "ridge", with_target(numbers.tolist(), table))
    page = tmp_path / "transfer.html"
    found = project.models.transfer("site", page=page)
    assert found.metric == "mae"
    same, turned, home = found.cell("a", "b"), found.cell("a", "c"), found.cell("c", "c")
    assert (same.figure.metric, same.figure.of, same.control.of) == ("mae", "model", "control:raw_knn")
    assert 0.6 < home.figure.value < 1.1
    assert same.figure.value < 1.2 < home.control.value
    assert same.loss.interval.low <= 0.1
    # Twice the rule's own mean absolute size: 20 E|a + b| = 20 * 1.128.
    assert 17 < turned.figure.value < 28
    assert turned.loss.difference == pytest.approx(home.figure.value - turned.figure.value, abs=1e-9)
    assert turned.loss.interval.low < turned.loss.difference < turned.loss.interval.high < -10
    assert turned.figure.interval.low < turned.figure.value < turned.figure.interval.high
    assert home.loss is None
    assert "are added to the mean absolute error" in found.sentence
    assert "4 of 6 ways to transfer lose more than chance" in found.sentence
    assert "Mean absolute error" in page.read_text()
    assert "points" not in page.read_text()


def test_the_command_line_tells_a_loss_in_the_unit_of_the_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows()
    of_task(tmp_path, "regression", "ridge", with_target((10 * table["a"].to_numpy()).tolist(), table))
    assert run(["transfer", "site", "--project", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "a -> b: mae 0." in told
    assert "; nearest raw rows " in told
    assert "above zero is better) against one learned there" in told
    assert "points" not in told


def test_a_figure_is_that_of_a_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models answer what they learned; the mean of |truth - answer| is computed here from their own answers."""
    table = with_target((10 * rows()["a"].to_numpy()).tolist(), rows())
    seen: list[tuple[list[float], list[float]]] = []
    whole = Model.predict

    def predict(self: Model, given: pa.Table) -> Outputs:
        answered = whole(self, given)
        seen.append((given["y"].to_pylist(), answered.numbers.tolist()))
        return answered

    project = of_task(tmp_path, "regression", "decision_tree", table)
    monkeypatch.setattr(Model, "predict", predict)
    found = project.models.transfer("site")
    asked = [sum(abs(t - v) for t, v in zip(truth, said, strict=True)) / len(truth) for truth, said in seen]
    assert sorted(asked) == pytest.approx(sorted(cell.figure.value for cell in found.cells))


@pytest.mark.slow
def test_numbers_by_an_encoder(tmp_path: Path) -> None:
    numbers = 10 * rows()["a"].to_numpy() * np.where(np.array(rows()["site"].to_pylist()) == "c", -1.0, 1.0)
    project = of_task(tmp_path, "regression", "encoder", with_target(numbers.tolist(), rows()))
    text = (tmp_path / "backstay.toml").read_text()
    (tmp_path / "backstay.toml").write_text(text + "epochs = 4\ndimension = 8\nlearning_rate = 0.02\nbatch_size = 32\n")
    found = backstay.open(tmp_path).models.transfer("site")
    assert found.cell("a", "c").loss.interval.high < 0
    assert project.ws.name == "sites"


def test_sets_of_labels_are_judged_by_micro_f1(tmp_path: Path) -> None:
    """Label "x" follows a rule that site c turns round; a label that only c has is missed by those who never saw it."""
    table = rows()
    site, a, b = (np.array(table[name].to_pylist()) for name in ("site", "a", "b"))
    sets = [
        [n for n, there in (("x", (a[i] > 0) ^ (site[i] == "c")), ("z" if site[i] == "c" else "w", b[i] > 0)) if there]
        for i in range(len(a))
    ]
    project = of_task(tmp_path, "multilabel", "logistic_regression", with_target(sets, table))
    found = project.models.transfer("site")
    assert found.metric == "micro_f1"
    assert found.cell("a", "b").figure.value > 0.9
    assert found.cell("a", "c").figure.value < 0.3
    assert found.cell("a", "c").loss.interval.high < -0.3
    assert "of micro F1 are lost" in found.sentence


def test_a_domain_of_one_answer_is_named(tmp_path: Path) -> None:
    numbers = np.where(np.array(rows()["site"].to_pylist()) == "b", 7.0, rows()["a"].to_numpy())
    project = of_task(tmp_path, "regression", "ridge", with_target(numbers.tolist(), rows()))
    with pytest.raises(BackstayError, match="learning on 'b': the target is 7 in all rows"):
        project.models.transfer("site")
    assert not list(project.ws.state.glob("transfer-*"))


def test_a_model_that_lives_elsewhere_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    project = of_task(tmp_path, "predictions", "logistic_regression", rows())
    with pytest.raises(BackstayError, match="the task is predictions: the model lives elsewhere") as caught:
        project.models.transfer("site")
    assert "name 'site' in data.slices" in caught.value.fix


def test_an_encoder_transfers_as_well(project, tmp_path):
    file = tmp_path / "backstay.toml"
    file.write_text(TOML.replace('model = "logistic_regression"', "epochs = 6\ndimension = 8\nlearning_rate = 0.02"))
    found = backstay.open(tmp_path).models.transfer("site")
    assert found.cell("a", "b").figure.value > 0.8
    assert found.cell("a", "c").figure.value < 0.3
