"""How rows lie, not where: five numbers a row for spread, collapse and neighbourhoods of embeddings.

Log distance to the reference's centre (spread), cosine to the centre (a cone that narrows), share of that distance in
the leading half of the reference's variance (collapse onto few directions, or out of them), and log distances to the
nearest and fifth-nearest of some reference rows (neighbourhoods: copies, gaps, new clusters). The mean of these, on one
scale, is tested like every other mean (`meanshift`), with the error of one fixed reference counted.

Blind to rows that move together within what is known. Source: for collapse Jing et al. 2022 (dimensional collapse);
for nearest-neighbour distances as a statistic Henze 1988. Trap: the rows whose neighbours are looked for must not be
among the rows that the means are made of; a row is its own nearest neighbour.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, matrix
from backstay.maths.neighbours import nearest

VERSION = 1
NEIGHBOURS = 5
NUMBERS = 5
LEADING = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ShapeMap:
    """Centre [d] and leading directions [d, k] of the reference, and rows [g, d] to measure distances to."""

    centre: FloatArray
    leading: FloatArray
    gallery: FloatArray

    @staticmethod
    def fit(rows: FloatArray, gallery: FloatArray) -> ShapeMap:
        """From reference rows [n, d], and others [g, d], g >= 5, that serve as neighbours alone."""
        known, others = matrix(rows, "reference rows"), matrix(gallery, "rows to measure distances to")
        if len(others) < NEIGHBOURS or others.shape[1] != known.shape[1]:
            raise BackstayError(
                f"{len(others)} rows to measure distances to", fix=f"give {NEIGHBOURS} or more, as wide"
            )
        centre = known.mean(axis=0)
        values, vectors = np.linalg.eigh((known - centre).T @ (known - centre) / len(known))
        share = np.cumsum(values[::-1]) / max(float(values.sum()), 1e-300)
        kept = int(np.searchsorted(share, LEADING)) + 1
        return ShapeMap(
            centre, np.ascontiguousarray(vectors[:, ::-1][:, :kept]), others.astype(np.float32).astype(float)
        )

    def features(self, rows: FloatArray) -> FloatArray:
        """[n, 5] of rows [n, d]."""
        table = matrix(rows, "rows")
        moved = table - self.centre
        squares = np.sum(moved**2, axis=1)
        tiny = 1e-12 + 1e-12 * float(np.sum(self.centre**2))
        lengths = np.sqrt(np.sum(table**2, axis=1) * max(float(np.sum(self.centre**2)), tiny))
        distances = nearest(self.gallery, table, NEIGHBOURS)[1]
        return np.column_stack(
            [
                0.5 * np.log(squares + tiny),
                table @ self.centre / np.maximum(lengths, tiny),
                np.sum((moved @ self.leading) ** 2, axis=1) / (squares + tiny),
                np.log(distances[:, 0] + tiny**0.5),
                np.log(distances[:, -1] + tiny**0.5),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "width": len(self.centre),
            **{name: _packed(getattr(self, name)) for name in ("centre", "leading", "gallery")},
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ShapeMap:
        if state.get("version") != VERSION:
            raise BackstayError(
                f"a map of shape of version {state.get('version')!r}",
                fix=f"this Backstay reads version {VERSION}: make the reference again",
            )
        width = int(state["width"])
        return ShapeMap(
            _unpacked(state["centre"]),
            _unpacked(state["leading"]).reshape(width, -1),
            _unpacked(state["gallery"]).reshape(-1, width),
        )


def _packed(values: FloatArray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def _unpacked(text: str) -> FloatArray:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
