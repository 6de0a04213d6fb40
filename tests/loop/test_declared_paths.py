"""Files that the project file names lie beside it, whatever else lies where the command was given."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.kernel.records import DataVersion
from backstay.loop.cluster_rows import of_column
from backstay.loop.examples import project_rows


@pytest.fixture
def elsewhere(trained, tmp_path, monkeypatch):
    """The current folder is another one, which holds files of the same names with fewer rows."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in trained.folder.glob("*.parquet"):
        pq.write_table(pq.read_table(file).slice(0, 200), elsewhere / file.name)
    monkeypatch.chdir(elsewhere)
    return elsewhere


def test_the_rows_of_the_project_are_those_beside_its_file(trained, elsewhere):
    whole = pq.read_table(trained.folder / "orders.parquet").num_rows
    assert whole > 200
    table, _ = project_rows(trained.open().ws)
    assert table.num_rows == whole


def test_so_are_the_unlabelled_ones(trained, elsewhere):
    table = pq.read_table(trained.folder / "orders.parquet").select(["a", "b"])
    moved = pa.table({name: pa.array(table[name].to_numpy() + 0.5) for name in ("a", "b")})
    pq.write_table(moved.slice(0, 90), trained.folder / "more.parquet")
    pq.write_table(moved.slice(0, 10), elsewhere / "more.parquet")
    file = trained.folder / "backstay.toml"
    text = file.read_text().replace("[data]\n", '[data]\nunlabelled = "more.parquet"\n')
    file.write_text(text.replace("[train]\n", '[train]\nobjective = "vicreg"\n'))
    project = trained.open()
    project.models.run()
    assert next(v for v in project.ws.catalog.find("data", DataVersion) if v.role == "unlabelled").rows == 90


def test_so_are_judged_pairs(trained, elsewhere):
    ids = pq.read_table(trained.folder / "orders.parquet")["id"].to_pylist()
    pairs = {"id_a": ids[:-1:2], "id_b": ids[1::2], "source": ["review"] * (len(ids) // 2)}
    good = pa.table({**pairs, "verdict": ["same"] * (len(ids) // 2)})
    pq.write_table(good, trained.folder / "judged.parquet")
    pq.write_table(good.select(["id_a"]), elsewhere / "judged.parquet")
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[data]\n", '[data]\npairs = "judged.parquet"\n'))
    assert trained.open().models.run().model.figures["judged_pairs"] > 0


def test_so_are_vectors_that_are_clustered(trained, elsewhere):
    def table(rows: int) -> pa.Table:
        vectors = [[float(i % 7), float(i % 3)] for i in range(1, rows + 1)]
        return pa.table({"id": [str(i) for i in range(rows)], "v": vectors, "person": ["p"] * rows, "y": ["1"] * rows})

    pq.write_table(table(90), trained.folder / "orders.parquet")
    pq.write_table(table(10), elsewhere / "orders.parquet")
    ws = trained.open().ws
    found = of_column(ws, None, "v")
    assert (len(found.vectors), found.source) == (90, "orders.parquet")
    assert len(of_column(ws, "orders.parquet", "v").vectors) == 10


def test_a_file_that_is_handed_over_is_looked_for_where_the_command_was_given(trained, elsewhere):
    pq.write_table(pq.read_table(trained.folder / "orders.parquet").slice(0, 7), elsewhere / "orders.parquet")
    assert trained.open().models.predict("orders.parquet").rows == 7
