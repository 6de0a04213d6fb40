"""Tables that `make prove` commits: one markdown file each, with the hash of the test that made it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from backstay.monitor.detectors import Look

ProveTable = Callable[[str, Sequence[Mapping[str, object]]], None]


@pytest.fixture
def prove_table(request: pytest.FixtureRequest) -> ProveTable:
    """Write rows under a name to the folder BACKSTAY_PROVE_OUT; without that variable, check the rows only."""
    script = Path(str(request.path))

    def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
        assert rows
        heads = list(rows[0])
        lines = [f"# {name}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        lines += ["| " + " | ".join(_cell(row[head]) for head in heads) + " |" for row in rows]
        digest = hashlib.sha256(script.read_bytes()).hexdigest()
        lines += ["", f"Made by `tests/statistical/{script.name}`, sha256 `{digest}`.", ""]
        out = os.environ.get("BACKSTAY_PROVE_OUT")
        if out:
            Path(out).mkdir(parents=True, exist_ok=True)
            (Path(out) / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")

    return write


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Bank:
    """Null windows, drawn once from a pool that serves as the whole truth: row numbers [windows, rows]. Every reference
    is judged against the same ones."""

    rows: np.ndarray
    mixing: csr_array

    @staticmethod
    def draw(pool: int, windows: int, rows: int, seed: int = 17) -> Bank:
        chosen = np.random.default_rng(seed).integers(0, pool, (windows, rows))
        ends = np.arange(0, windows * rows + 1, rows)
        shares = np.full(windows * rows, 1.0 / rows, dtype=np.float32)
        mixing = csr_array((shares, chosen.ravel().astype(np.int32), ends.astype(np.int32)), shape=(windows, pool))
        mixing.sum_duplicates()
        return Bank(chosen, mixing)

    @property
    def size(self) -> int:
        return self.rows.shape[1]

    def means(self, features: np.ndarray) -> np.ndarray:
        """Mean features [windows, d] of the pool's features [pool, d]."""
        return np.asarray(self.mixing @ features, dtype=np.float64)

    def counts(self, marks: np.ndarray) -> np.ndarray:
        """Marked rows of each window [windows, d] of the pool's marks [pool, d]."""
        return np.rint(self.means(marks.astype(np.float32)) * self.size)


@pytest.fixture(scope="session")
def draw_bank() -> Callable[..., Bank]:
    return Bank.draw


@pytest.fixture(scope="session")
def look_at() -> Callable[..., Look]:
    """A look at this level, at which nothing worse than the reference is tolerated."""

    def made(alpha: float, **parts: float | str) -> Look:
        given = {"per_year": 0.4, "years": 0.2, "labels_per_year": 600.0, "tolerance": 0.0, **parts}
        return Look(alpha=alpha, **given)

    return made


@pytest.fixture
def prove_rates(prove_table: ProveTable) -> Callable[..., None]:
    """Write the alarm rates of a whole detector, one for each reference, and hold them to the promise. `least`: the
    share of the level below which a test is called dead."""

    def write(
        name: str,
        detector: str,
        traffic: str,
        alpha: float,
        found: np.ndarray,
        least: float = 1 / 20,
        **told: object,
    ) -> None:
        mean, high, top = found.mean(), np.quantile(found, 0.95), np.quantile(found, 0.99)
        head: dict[str, object] = {"detector": detector, "traffic": traffic, **told, "alpha": alpha}
        rates = {
            "references": len(found),
            "mean rate / alpha": float(mean / alpha),
            "95th percentile / alpha": float(high / alpha),
            "99th percentile / alpha": float(top / alpha),
        }
        prove_table(f"whole-{name}", [{**head, **rates}])
        assert least * alpha <= mean <= alpha
        assert high <= 1.5 * alpha

    return write


@pytest.fixture
def prove_mutants(prove_table: ProveTable) -> Callable[..., None]:
    """Write what mutants do, by detector and mutant: each must break the promise. The rates are given over alpha."""

    def write(name: str, found: Mapping[tuple[str, str], np.ndarray]) -> None:
        rows = [
            {
                "detector": detector,
                "mutant": mutant,
                "references": len(rates),
                "mean rate / alpha": float(rates.mean()),
                "95th percentile / alpha": float(np.quantile(rates, 0.95)),
            }
            for (detector, mutant), rates in found.items()
        ]
        prove_table(f"mutants-of-whole-{name}", rows)
        assert all(np.quantile(rates, 0.95) > 1.5 for rates in found.values())

    return write
