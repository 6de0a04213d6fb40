"""What figures beside accuracy need of rows that are gone: what the model said of each, in a few numbers.

Kept only where such figures are asked for, and no longer than the labels and windows of `monitor.memory`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class RowPool:
    """A sample of a past window's rows: the window's start, and `width` numbers of each row, in single precision."""

    start: datetime
    width: int
    data: bytes

    @staticmethod
    def of(start: datetime, rows: FloatArray) -> RowPool:
        """Args: `rows` [n, width]."""
        return RowPool(start, rows.shape[1], np.ascontiguousarray(rows, dtype="<f4").tobytes())

    @property
    def rows(self) -> FloatArray:
        return np.frombuffer(self.data, dtype="<f4").astype(np.float64).reshape(-1, self.width)


@dataclass(frozen=True, slots=True)
class RowMemory:
    """Numbers of labelled rows by prediction id, and of samples of windows.

    Args:
        kind: what the numbers are; memory of another kind is of another model or policy, and begins anew.
    """

    kind: str = ""
    labelled: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    pools: tuple[RowPool, ...] = ()

    def add(self, kind: str, labelled: Mapping[str, tuple[float, ...]], pool: RowPool | None) -> RowMemory:
        """With newly labelled rows and a window's sample; what is known of a row already stays."""
        before = self if self.kind == kind else RowMemory(kind)
        pools = before.pools if pool is None or not pool.data else (*before.pools, pool)
        return RowMemory(kind, {**labelled, **before.labelled}, pools)

    def only(self, labelled: Iterable[str], starts: Iterable[datetime]) -> RowMemory:
        """Without what is not of these rows and windows."""
        ids, kept = set(labelled), set(starts)
        return replace(
            self,
            labelled={key: values for key, values in self.labelled.items() if key in ids},
            pools=tuple(pool for pool in self.pools if pool.start in kept),
        )

    def to_json(self) -> Json:
        """JSON types only; numbers are exact."""
        return {
            "kind": self.kind,
            "labelled": {key: list(values) for key, values in self.labelled.items()},
            "pools": [[p.start.isoformat(), p.width, base64.b64encode(p.data).decode()] for p in self.pools],
        }

    @staticmethod
    def from_json(state: Mapping[str, Any] | None) -> RowMemory:
        """What `to_json` wrote; empty for a memory of before there was any."""
        if state is None:
            return RowMemory()
        return RowMemory(
            str(state["kind"]),
            {key: tuple(map(float, values)) for key, values in state["labelled"].items()},
            tuple(
                RowPool(datetime.fromisoformat(s), width, base64.b64decode(data)) for s, width, data in state["pools"]
            ),
        )
