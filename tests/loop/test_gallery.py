"""Galleries of a project: indexed, searched, added to, tied to a space, erased from, freed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.loop.conftest import Place, orders

from backstay.cli.main import run
from backstay.kernel.errors import BackstayError, Conflict, NotFound
from backstay.loop.gallery import file_gallery, files, key_of, opened


def test_the_like_of_a_row_is_what_a_loop_finds(trained: Place):
    models = trained.open().models
    rows, queries = orders(90, 5, "g"), orders(6, 6, "q")
    made = models.index(rows, keep=["a"])
    assert (made.rows, made.dimension, made.kept) == (90, 8, ("y", "a"))
    found = models.search(queries.drop_columns(["y"]), k=4)
    ws = trained.open().ws
    model = ws.load_model(ws.model_record(ws.champion().model_id))
    gallery, asked = (model.predict(t).embeddings.astype(float) for t in (rows, queries))
    for i, answer in enumerate(found.asked):
        cosine = [float(g @ asked[i] / np.linalg.norm(g) / np.linalg.norm(asked[i])) for g in gallery]
        best = sorted(range(90), key=lambda j: -cosine[j])[:4]
        assert [n.cosine for n in answer.neighbours] == pytest.approx([cosine[j] for j in best], abs=2e-6)
        assert answer.id == f"q-{i:03d}"
    first = found.asked[0].neighbours[0]
    place = rows.column("id").to_pylist().index(first.id)
    assert first.kept == {"y": rows.column("y")[place].as_py(), "a": str(rows.column("a")[place].as_py())}
    assert found.figures == ()


def test_labelled_queries_are_measured_and_never_by_their_own_subject(trained: Place):
    models = trained.open().models
    rows = orders(150, 7, "g")
    models.index(rows)
    by_name = {m.metric: m for m in models.search(orders(60, 8, "q"), k=5).figures}
    assert set(by_name) == {"recall_at_1", "recall_at_5", "map_at_r"}
    assert by_name["recall_at_1"].value > 0.7
    assert by_name["recall_at_1"].value <= by_name["recall_at_5"].value
    assert by_name["recall_at_1"].n == 60
    assert by_name["recall_at_1"].interval.low < by_name["recall_at_1"].value
    # A gallery whose labels are noise: rows would find themselves, were their own subject not left out.
    noise = np.random.default_rng(0).permutation(rows.column("y").to_pylist())
    shuffled = rows.set_column(rows.column_names.index("y"), "y", pa.array(noise.tolist()))
    models.index(shuffled, name="noise")
    own = {m.metric: m.value for m in models.search(shuffled, k=1, name="noise").figures}
    assert own["recall_at_1"] < 0.75


def test_a_row_of_the_gallery_is_asked_by_its_id(trained: Place):
    models = trained.open().models
    models.index(orders(30, 5, "g"))
    found = models.search(like="g-007", k=3)
    whole = models.search(orders(30, 5, "g").slice(7, 1), k=4)
    assert [n.id for n in found.asked[0].neighbours] == [n.id for n in whole.asked[0].neighbours[1:]]
    assert whole.asked[0].neighbours[0].id == "g-007"
    with pytest.raises(NotFound, match="no row 'g-999'"):
        models.search(like="g-999")
    with pytest.raises(BackstayError, match="not both"):
        models.search(orders(3, 5), like="g-007")


def test_rows_are_added_once_and_another_index_replaces(trained: Place):
    models = trained.open().models
    models.index(orders(30, 5, "g"))
    both = models.index(orders(9, 6, "h"), add=True)
    assert (both.rows, both.added) == (39, 9)
    with pytest.raises(BackstayError, match="9 ids are in the gallery already"):
        models.index(orders(9, 6, "h"), add=True)
    assert models.galleries()["default"].rows == 39
    assert models.index(orders(9, 6, "h")).rows == 9
    with pytest.raises(NotFound, match="no gallery 'other' to add to"):
        models.index(orders(9, 6, "h"), name="other", add=True)


def test_a_model_of_another_space_is_refused(trained: Place):
    project = trained.open()
    project.models.index(orders(30, 5, "g"))
    ws, state = project.ws, project.ws.catalog.get_state(key_of(project.ws, "default"))
    assert state["space"] == ws.load_model(ws.model_record(ws.champion().model_id)).manifest.space_id
    # As if another release had made it: the same rows under the name of another space.
    old = opened(ws, "default")
    about = {"model": "model-before", "source": "g.parquet", "added": 30}
    file_gallery(ws, "default", replace(old, space="space-before"), about, instead_of=state)
    with pytest.raises(BackstayError, match="space-before, the model embeds into space-"):
        project.models.search(orders(3, 9, "q"))
    with pytest.raises(BackstayError, match="cannot be compared"):
        project.models.index(orders(9, 6, "h"), add=True)
    with pytest.raises(Conflict, match="changed meanwhile"):
        file_gallery(ws, "default", old, about, instead_of=state)
    assert project.models.search(like="g-001", k=2).model is None
    project.models.index(orders(30, 5, "g"))
    assert project.models.search(orders(3, 9, "q"), k=2).rows == 30


def test_what_is_forgotten_leaves_the_galleries(trained: Place):
    project = trained.open()
    project.models.index(orders(30, 5, "g"))
    project.models.index(orders(3, 6, "h"), name="small")
    old = {name: file.path for name, file in files(project.ws).items()}
    done = project.data.forget(ids=["g-004"], groups=["g-person-003", "h-person-000"], reason="asked")
    assert done.gallery_rows == 1 + 3 + 3
    left = opened(project.ws, "default").ids.to_pylist()
    assert left == [f"g-{i:03d}" for i in range(30) if i not in (4, 9, 10, 11)]
    assert "small" not in project.models.galleries()
    assert not any(path.exists() for path in old.values())


def test_gc_keeps_a_gallery_and_frees_the_one_before(trained: Place, monkeypatch):
    monkeypatch.setattr("backstay.store.gc.QUIET_SECONDS", 0.0)
    monkeypatch.setattr("backstay.store.gc.collect.__kwdefaults__", {"dry_run": False, "quiet_seconds": -1.0})
    project = trained.open()
    project.models.index(orders(30, 5, "g"))
    old = files(project.ws)["default"]
    project.models.index(orders(30, 6, "g"))
    kept = files(project.ws)["default"]
    removed = project.gc()["removed"]
    assert old.id in removed
    assert kept.id not in removed
    assert kept.path.exists()
    assert project.models.search(like="g-001", k=1).rows == 30
    project.models.unindex("default")
    assert project.gc()["removed"] == [kept.id]
    with pytest.raises(NotFound, match="backstay index FILE"):
        project.models.search(like="g-001")


def test_bad_names_columns_and_counts_are_refused(trained: Place):
    models = trained.open().models
    for name in ("../up", "A", "", "a/b", ".hidden"):
        with pytest.raises(BackstayError, match="not a name for a gallery"):
            models.index(orders(9, 1), name=name)
    with pytest.raises(BackstayError, match="no column 'c'"):
        models.index(orders(9, 1), keep=["c"])
    with pytest.raises(BackstayError, match="is there twice"):
        models.index(pa.concat_tables([orders(9, 1), orders(9, 1)]))
    models.index(orders(9, 1))
    for k in (0, 10_001):
        with pytest.raises(BackstayError, match="neighbours were asked for"):
            models.search(orders(3, 2), k=k)
    with pytest.raises(NotFound, match="did you mean 'default'"):
        models.search(orders(3, 2), name="defalt")


def test_the_command_line(trained: Place, capsys):
    pq.write_table(orders(30, 5, "g"), trained.folder / "g.parquet")
    where = ["--project", str(trained.folder)]
    assert run(["index", str(trained.folder / "g.parquet"), "--keep", "b", *where]) == 0
    assert "indexed default: 30 rows of 8 numbers, from g.parquet; kept: y, b" in capsys.readouterr().out
    assert run(["index", *where]) == 0
    assert "gallery default: 30 rows" in capsys.readouterr().out
    assert run(["search", str(trained.folder / "g.parquet"), "-k", "2", *where]) == 0
    said = capsys.readouterr().out
    assert "+1.0000  g-000  y=" in said
    assert "recall_at_1" in said
    assert "... and 10 rows more" in said
    assert run(["search", "--like", "g-000", "-k", "2", "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["asked"][0]["neighbours"]) == 2
    assert run(["index", "--remove", "--keep", "a", *where]) == 2
    assert run(["index", "--add", *where]) == 2
    assert run(["index", "--remove", *where]) == 0
    assert run(["search", "--like", "g-000", *where]) == 2
