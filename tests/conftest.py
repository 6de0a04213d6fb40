"""One tiny project for tests of the whole product: made once, copied for each test."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 300
POLICY = """
[gate]
minimum_n = 100
rules = [
  { rule = "no_worse_than_champion", margin = 0.05 },
]
"""


def threshold_onnx(weights: tuple[float, float], bias: float = 0.0, *, wide: bool = False) -> bytes:
    """Columns a and b (and c if `wide`) to the scores of no and yes: a logistic rule that somebody else exported."""
    from onnx import TensorProto, helper, numpy_helper

    names = ("a", "b", "c") if wide else ("a", "b")
    column = (*weights, 0.0)[: len(names)]
    matrix = np.array([[-w, w] for w in column], np.float32)
    nodes = [
        helper.make_node("Concat", list(names), ["row"], axis=1),
        helper.make_node("MatMul", ["row", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "threshold",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 1]) for n in names],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2])],
        [
            numpy_helper.from_array(matrix, "w"),
            numpy_helper.from_array(np.array([[-bias, bias]], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def threshold() -> Callable[..., bytes]:
    """Makes the ONNX bytes of a logistic rule."""
    return threshold_onnx


def threshold_rows(n: int = ROWS, seed: int = 0, stem: str = "r") -> pa.Table:
    """Rows whose truth is the sign of a + b, with a little noise: the first model is right on most of them."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    noisy = a + b + rng.normal(scale=0.3, size=n) > 0
    return pa.table(
        {
            "id": [f"{stem}-{i}" for i in range(n)],
            "a": a,
            "b": b,
            "y": np.where(noisy, "yes", "no").tolist(),
        }
    )


@dataclass(frozen=True)
class Tiny:
    """A folder with an adopted model "tiny", and files to go on with.

    Args:
        folder: holds backstay.toml, good.onnx (as good as the champion), bad.onnx (wrong), rows.parquet (no labels).
    """

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def database(self) -> Path:
        return self.folder / ".backstay" / "state.db"

    def tables(self) -> dict[str, list[Any]]:
        """Everything that the store holds, table by table."""
        with closing(sqlite3.connect(self.database)) as connection:
            names = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {n: connection.execute(f"SELECT * FROM {n} ORDER BY rowid").fetchall() for n in sorted(names)}  # noqa: S608 - the names are the store's own

    def files(self) -> dict[str, str]:
        """Every other file of the project and its hash."""
        found = (p for p in sorted(self.folder.rglob("*")) if p.is_file() and not p.name.startswith("state.db"))
        return {str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}

    def execute(self, statement: str, *values: Any) -> None:
        """Change the store behind Backstay's back."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)


def run_quietly(*arguments: str) -> None:
    from backstay.cli.main import run

    assert run(list(arguments)) == 0


@pytest.fixture(scope="session")
def tiny_original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project as it is after `adopt`; nobody may change it."""
    folder = tmp_path_factory.mktemp("tiny-original")
    for name, weights in (("champion", (2.0, 2.0)), ("good", (2.1, 2.0)), ("bad", (-1.0, 0.5))):
        (folder / f"{name}.onnx").write_bytes(threshold_onnx(weights))
    reference = threshold_rows()
    pq.write_table(reference, folder / "ref.parquet")
    pq.write_table(threshold_rows(120, seed=1, stem="live").drop_columns(["y"]), folder / "rows.parquet")
    where = ("--project", str(folder))
    run_quietly(
        "adopt", str(folder / "champion.onnx"), "--reference", str(folder / "ref.parquet"), "--target", "y",
        "--id", "id", "--name", "tiny", *where,
    )
    file = folder / "backstay.toml"
    file.write_text(file.read_text() + POLICY if "[gate]" not in file.read_text() else file.read_text())
    return folder


@pytest.fixture
def tiny(tiny_original: Path, tmp_path: Path) -> Iterator[Tiny]:
    """A copy of the tiny project, for one test to spoil."""
    folder = tmp_path / "project"
    shutil.copytree(tiny_original, folder)
    yield Tiny(folder)
