"""A project of its own data: run, promoted and with traffic, made once and copied for each test that needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.project import Project

START = datetime(2026, 1, 5, tzinfo=UTC)
TOML = """
version = 1
name = "orders"

[data]
source = "orders.parquet"
target = "y"
id = "id"
group = "person"

[train]
epochs = 3
dimension = 8
batch_size = 64
learning_rate = 0.02

[gate]
minimum_n = 40
rules = [ { rule = "no_worse_than_champion", margin = 0.2 } ]

[budget]
labels_per_month = 40

[watch]
minimum_rows = 50
label_free_minimum = 50

[retrain]
labels = 60
"""


def orders(n: int, seed: int, stem: str = "o") -> pa.Table:
    """Rows of n/3 persons, three rows each; the truth is the sign of a + b."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    return pa.table(
        {
            "id": [f"{stem}-{i:03d}" for i in range(n)],
            "person": [f"{stem}-person-{i // 3:03d}" for i in range(n)],
            "a": a,
            "b": b,
            "y": np.where(a + b > 0, "yes", "no").tolist(),
        }
    )


class Place:
    """A folder of a project, opened at whatever time a test says."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder = folder
        self.clock = ManualClock(now)

    def open(self, **options: str) -> Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada", **options)

    def later(self, days: float) -> Project:
        self.clock.advance(timedelta(days=days))
        return self.open()

    def copy(self, folder: Path) -> Place:
        shutil.copytree(self.folder, folder)
        return Place(folder, self.clock.now())

    def log(self, n: int, seed: int, stem: str) -> pa.Table:
        """Answer rows with the live model and log them; gives them with their true labels."""
        rows = orders(n, seed, stem)
        self.open().models.predict(rows.drop_columns(["y"]), record=True)
        return rows


@pytest.fixture(scope="session")
def trained_original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """`run` and `promote` on 300 rows, then a day of traffic; nobody may change it."""
    place = Place(tmp_path_factory.mktemp("orders"), START)
    (place.folder / "backstay.toml").write_text(TOML)
    pq.write_table(orders(300, 0), place.folder / "orders.parquet")
    project = place.open()
    project.models.run()
    project.releases.promote(reason="the first")
    place.clock.advance(timedelta(days=1))
    place.log(150, 1, "t")
    return place


@pytest.fixture
def trained(trained_original: Place, tmp_path: Path) -> Place:
    """A copy for one test to spoil."""
    return trained_original.copy(tmp_path / "orders")


@pytest.fixture(scope="session")
def customers() -> Callable[..., pa.Table]:
    """Makes customers with gaps in both columns; who stays follows the plan and the tenure."""

    def make(n: int, seed: int, stem: str, *, moved: float = 0.0, plans: tuple[str, ...] = ("a", "b")) -> pa.Table:
        rng = np.random.default_rng(seed)
        tenure, plan = rng.normal(size=n) * 12 + 30 + moved, rng.choice(plans, n)
        stays = tenure / 12 - 2.5 + 1.5 * (plan == "a") + rng.normal(size=n) * 0.4 > 0.7
        return pa.table(
            {
                "id": [f"{stem}-{i:04d}" for i in range(n)],
                "tenure": pa.array(np.where(rng.random(n) < 0.1, np.nan, tenure), from_pandas=True),
                "plan": [None if gap else str(p) for p, gap in zip(plan, rng.random(n) < 0.1, strict=True)],
                "stays": np.where(stays, "yes", "no").tolist(),
            }
        )

    return make
