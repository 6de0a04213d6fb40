"""frouros on the scoreboard: its tests of one column each, any column at the level; it corrects for nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from frouros.detectors.data_drift import ChiSquareTest, KSTest
from worlds import Array, Table

PACKAGES = ("frouros", "numpy", "scipy")
LEVEL = 0.05


def _fitted(values: Array) -> KSTest:
    test = KSTest()
    test.fit(X=values)
    return test


def tables(reference: Table) -> Any:
    numbers = [_fitted(column) for column in reference.numbers.T]
    answers = ChiSquareTest()
    answers.fit(X=reference.words)

    def look(window: Table) -> dict[str, tuple[float, bool]]:
        chances = [test.compare(X=column)[0].p_value for test, column in zip(numbers, window.numbers.T, strict=True)]
        chances.append(answers.compare(X=window.words)[0].p_value)
        least = float(min(chances))
        return {"any column": (-float(np.log10(max(least, 1e-300))), least < LEVEL)}

    return look


def columns_cost(reference: Path, window: Path) -> Any:
    _fitted(np.arange(50.0)).compare(X=np.arange(50.0))

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False, mmap_mode="r") for path in (reference, window))
        columns = range(before.shape[1])
        return min(_fitted(before[:, i]).compare(X=now[:, i])[0].p_value for i in columns) < LEVEL

    return look
