"""Clusters of a project's rows: planted ones are found, figures are those of a plain loop, centres are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from tests.loop.conftest import Place, orders

import backstay
from backstay.cli.main import run
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.loop import cluster_folder
from backstay.project import Project

TOML = """
version = 1
name = "notes"
[data]
source = "notes.parquet"
target = "y"
id = "id"
"""


def notes(n: int = 300, seed: int = 0, kinds: int = 4) -> pa.Table:
    """Vectors about a few directions; the label is the name of its direction, wrong in one row of ten, or gone."""
    directions = np.random.default_rng(99).normal(size=(kinds, 6))
    rng = np.random.default_rng(seed)
    own = rng.integers(0, kinds, n)
    vectors = (directions[own] + 0.15 * rng.normal(size=(n, 6))) * rng.uniform(0.5, 4.0, (n, 1))
    said = np.where(rng.random(n) < 0.1, rng.integers(0, kinds, n), own)
    labels = [None if rng.random() < 0.05 else f"k{kind}" for kind in said]
    return pa.table({"id": [f"n-{i}" for i in range(n)], "v": vectors.tolist(), "y": labels, "own": own})


def project(folder: Path, table: pa.Table, task: str = "classification") -> Project:
    folder.mkdir(exist_ok=True)
    (folder / "backstay.toml").write_text(TOML.replace("[data]", f'task = "{task}"\n[data]'))
    pq.write_table(table, folder / "notes.parquet")
    return backstay.open(folder, actor="ada")


def test_planted_clusters_are_found_counted_and_measured(tmp_path: Path) -> None:
    table = notes()
    found = project(tmp_path / "p", table).models.cluster(vectors="v", output=tmp_path / "c")
    assert (found.clusters, found.chosen, found.rows, found.dimension) == (4, "silhouette", 300, 6)
    cells = found.table["cluster"].to_numpy()
    assert adjusted_rand_score(table["own"].to_numpy(), cells) == 1.0
    assert found.steadiness == pytest.approx(1.0)
    vectors = np.array(table["v"].to_pylist())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found.silhouette == pytest.approx(silhouette_score(unit, cells), abs=1e-5)
    labels = np.array(table["y"].to_pylist(), dtype=object)
    there = np.array([v is not None for v in labels])
    known, theirs = labels[there].astype(str), cells[there]
    most = [max(int(((theirs == c) & (known == name)).sum()) for name in set(known)) for c in range(4)]
    assert found.against.rows == there.sum()
    assert found.against.purity == pytest.approx(sum(most) / there.sum())
    assert found.against.commonest == pytest.approx(max(np.mean(known == name) for name in set(known)))
    assert found.against.adjusted_rand == pytest.approx(adjusted_rand_score(known, theirs))
    assert found.against.normalised_mutual_information == pytest.approx(normalized_mutual_info_score(known, theirs))
    for part in found.parts:
        mine = np.flatnonzero(cells == part.cluster)
        centre = unit[mine].mean(axis=0)
        far = np.linalg.norm(unit[mine] - centre, axis=1)
        assert (part.rows, part.share) == (len(mine), len(mine) / 300)
        assert part.spread == pytest.approx(far.mean(), abs=1e-5)
        assert part.nearest == tuple(f"n-{mine[i]}" for i in np.argsort(far)[:5])
        assert part.limit == pytest.approx(np.quantile(far, 0.99), abs=1e-5)
        inside = labels[mine][there[mine]]
        assert part.labels == pytest.approx({name: np.mean(inside == name) for name in set(inside)})
    assert [part.rows for part in found.parts] == sorted((part.rows for part in found.parts), reverse=True)


def test_the_folder_holds_rows_figures_and_centres_and_the_ledger_knows(tmp_path: Path) -> None:
    opened = project(tmp_path / "p", notes())
    found = opened.models.cluster(vectors="v", clusters=3, output=tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["centres.npy", "clusters.json", "rows.parquet"]
    assert pq.read_table(tmp_path / "c/rows.parquet").equals(found.table)
    document = json.loads((tmp_path / "c/clusters.json").read_text())
    assert document["sentence"] == found.sentence
    assert [part["rows"] for part in document["parts"]] == [part.rows for part in found.parts]
    assert np.load(tmp_path / "c/centres.npy", allow_pickle=False).shape == (3, 6)
    assert ("clusters", 3) in [(r.kind, r.body.get("clusters")) for r in opened.ws.ledger.rows()]
    assert opened.verify().sound
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(BackstayError, match="is there already"):
        opened.models.cluster(vectors="v", output=tmp_path / "c")


def test_one_seed_one_folder(tmp_path: Path) -> None:
    opened = project(tmp_path / "p", notes())
    for name in ("a", "b"):
        opened.models.cluster(vectors="v", seed=3, output=tmp_path / name)
    for file in ("clusters.json", "centres.npy", "rows.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_new_rows_go_to_the_kept_centres(tmp_path: Path) -> None:
    opened = project(tmp_path / "p", notes())
    opened.models.cluster(vectors="v", output=tmp_path / "c")
    later = notes(80, seed=5)
    found = opened.models.cluster(later, vectors="v", by=tmp_path / "c", output=tmp_path / "later")
    assert (found.chosen, found.clusters, found.steadiness) == ("kept", 4, None)
    assert adjusted_rand_score(later["own"].to_numpy(), found.table["cluster"].to_numpy()) == 1.0
    assert (tmp_path / "later/centres.npy").read_bytes() == (tmp_path / "c/centres.npy").read_bytes()
    again = opened.models.cluster(vectors="v", by=tmp_path / "later")
    assert again.table.equals(pq.read_table(tmp_path / "c/rows.parquet"))
    assert sum(part.beyond for part in again.parts) <= 0.02 * 300
    turned = later.set_column(1, "v", pa.array([[-x for x in v] for v in later["v"].to_pylist()]))
    strange = opened.models.cluster(turned, vectors="v", by=tmp_path / "c")
    assert sum(part.beyond for part in strange.parts) > 70
    assert "farther from their centre" in strange.notes[-1]


def test_kept_centres_that_were_changed_or_are_of_another_space_are_refused(tmp_path: Path) -> None:
    table = notes()
    opened = project(tmp_path / "p", table.append_column("w", table["v"]))
    opened.models.cluster(vectors="v", clusters=2, output=tmp_path / "c")
    with pytest.raises(BackstayError, match="of the space vectors:v:6, these rows lie in vectors:w:6"):
        opened.models.cluster(vectors="w", by=tmp_path / "c")
    with pytest.raises(NotFound, match="holds no clusters"):
        opened.models.cluster(vectors="v", by=tmp_path / "p")
    with pytest.raises(BackstayError, match="kept centres say how many"):
        opened.models.cluster(vectors="v", by=tmp_path / "c", clusters=2)
    np.save(tmp_path / "c/centres.npy", np.zeros((2, 6)))
    with pytest.raises(Tampered, match="is not what was written"):
        opened.models.cluster(vectors="v", by=tmp_path / "c")


def test_length_counts_by_euclidean_distance_alone(tmp_path: Path) -> None:
    """Two lengths of one direction: two clusters by distance; by cosine there is nothing to tell them apart by."""
    rng = np.random.default_rng(0)
    size = np.where(np.arange(120) % 2 == 0, 1.0, 5.0)
    wide = np.array([1.0, 2.0, 2.0]) / 3 * size[:, None] + 0.02 * rng.normal(size=(120, 3))
    table = pa.table({"id": [str(i) for i in range(120)], "v": wide.tolist(), "y": ["a"] * 120})
    opened = project(tmp_path / "p", table)
    apart = opened.models.cluster(vectors="v", clusters=2, distance="euclidean")
    assert adjusted_rand_score(size, apart.table["cluster"].to_numpy()) == 1.0
    alike = opened.models.cluster(vectors="v", clusters=2)
    assert adjusted_rand_score(size, alike.table["cluster"].to_numpy()) < 0.2


def test_numbers_and_sets_of_labels_are_told_by_cluster(tmp_path: Path) -> None:
    table = notes()
    own = table["own"].to_numpy()
    numbers = 10.0 * own + np.random.default_rng(0).normal(size=300)
    found = project(tmp_path / "p", table.set_column(2, "y", pa.array(numbers)), "regression").models.cluster(
        vectors="v", clusters=4
    )
    means = {round(part.mean / 10.0) for part in found.parts}
    assert means == {0, 1, 2, 3}
    between = sum(np.sum(own == k) * (numbers[own == k].mean() - numbers.mean()) ** 2 for k in range(4))
    assert found.against.explained == pytest.approx(between / np.sum((numbers - numbers.mean()) ** 2))
    assert found.against.purity is None
    sets = [["all"] + (["odd"] if kind % 2 else []) for kind in own]
    opened = project(tmp_path / "q", table.set_column(2, "y", pa.array(sets)), "multilabel")
    found = opened.models.cluster(vectors="v", clusters=4)
    assert sorted(tuple(part.labels.items()) for part in found.parts)[0] == (("all", 1.0),)
    assert found.parts[0].labels["all"] == 1.0
    assert found.against.adjusted_rand is None


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"clusters": 301}, "301 clusters of 300 rows"),
        ({"clusters": 0}, "0 clusters of 300 rows"),
        ({"vectors": "u"}, "no column 'u'"),
        ({"vectors": "id"}, "holds string, not vectors"),
        ({"distance": "cosin"}, "'cosin' is no distance"),
        ({"candidate": "model-x"}, "needs no model"),
        ({"rows": notes().slice(0, 0)}, "no row"),
    ],
)
def test_what_cannot_be_clustered_is_said_before_anything_is_written(asked: dict, what: str, tmp_path: Path) -> None:
    opened = project(tmp_path / "p", notes())
    with pytest.raises(BackstayError, match=what) as caught:
        opened.models.cluster(**{"vectors": "v", "output": tmp_path / "c", **asked})
    assert caught.value.fix
    assert not (tmp_path / "c").exists()


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = project(tmp_path / "p", notes())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cluster_folder, "write_synchronised", full)
    with pytest.raises(BackstayError, match=r"cannot be written \(No space left"):
        opened.models.cluster(vectors="v", clusters=2, output=tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert "clusters" not in {row.kind for row in opened.ws.ledger.rows()}


@pytest.mark.parametrize(
    ("vector", "what"),
    [
        ([0.0] * 6, "row 1 has no direction"),
        ([np.nan] * 6, "row 2 of column 'v' holds a null, NaN"),
        (None, "no vector"),
    ],
)
def test_a_row_without_a_direction_is_named(vector: list[float] | None, what: str, tmp_path: Path) -> None:
    table = notes()
    spoilt = table["v"].to_pylist()
    spoilt[1] = vector
    opened = project(tmp_path / "p", table.set_column(1, "v", pa.array(spoilt, pa.list_(pa.float64()))))
    with pytest.raises(BackstayError, match=what):
        opened.models.cluster(vectors="v")


def test_the_live_model_s_rows_are_clustered_where_it_embeds_them(trained: Place, tmp_path: Path) -> None:
    opened = trained.open()
    found = opened.models.cluster(clusters=3, output=tmp_path / "c")
    ws = opened.ws
    record = ws.model_record(ws.champion().model_id)
    model = ws.load_model(record)
    assert (found.model, found.space, found.source) == (record.id, model.manifest.space_id, record.data_id)
    assert found.rows == 300
    assert found.table["id"].to_pylist()[0] == "o-000"
    assert "figures against labels flatter it" in found.notes[-1]
    later = orders(40, 8, "new")
    placed = opened.models.cluster(later, by=tmp_path / "c", candidate=record.id[:20])
    vectors = model.predict(later).embeddings.astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centres = np.load(tmp_path / "c/centres.npy", allow_pickle=False)
    far = np.sqrt(((unit[:, None, :] - centres[None]) ** 2).sum(axis=2))
    assert placed.table["cluster"].to_pylist() == far.argmin(axis=1).tolist()
    assert placed.table["distance"].to_numpy() == pytest.approx(far.min(axis=1), abs=1e-6)
    assert not any("flatter" in note for note in placed.notes)
    with pytest.raises(NotFound):
        opened.models.cluster(candidate="model-x")
    text = (trained.folder / "backstay.toml").read_text()
    (trained.folder / "backstay.toml").write_text(text.replace("epochs = 3", "epochs = 1"))
    other = trained.open().models.run().model
    with pytest.raises(BackstayError, match="they cannot be compared"):
        opened.models.cluster(later, by=tmp_path / "c", candidate=other.id)


def test_a_model_without_embeddings_is_refused(tmp_path: Path) -> None:
    table = orders(300, 0)
    (tmp_path / "backstay.toml").write_text(
        TOML.replace("notes", "orders") + '[train]\nmodel = "decision_tree"\n[gate]\nrules = []\n'
    )
    pq.write_table(table, tmp_path / "orders.parquet")
    opened = backstay.open(tmp_path, actor="ada")
    record = opened.models.run().model
    with pytest.raises(BackstayError, match="gives no embeddings") as caught:
        opened.models.cluster(candidate=record.id)
    assert "--vectors" in caught.value.fix


def test_the_command_line_says_it_in_words_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path / "p", notes())
    base = ["cluster", "--project", str(tmp_path / "p"), "--vectors", "v"]
    assert run([*base, "--output", str(tmp_path / "c")]) == 0
    text = capsys.readouterr().out
    assert "4 clusters (chosen by silhouette) of 300 rows" in text
    assert "purity" in text
    assert run([*base, "--by", str(tmp_path / "c"), "--output", str(tmp_path / "d"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chosen"] == "kept"
    assert document["table"] is None
    assert run([*base, "--clusters", "999", "--output", str(tmp_path / "e"), "--json"]) == 2
    assert "999 clusters of 300 rows" in capsys.readouterr().out
