"""Do more rows come again than did before? Rows that are alike in all their inputs: near each other, or anywhere.

How many rows repeat grows with how many there are, and of categories they repeat by nature: so like is compared with
like. The rows are dealt at random, whatever they hold, into blocks of so many each, in the window as in the reference.
A block is marked where more of its rows are copies than in any of the reference's first four blocks; the share of
marked blocks among its others is what the reference allows, at its upper confidence limit. Blocks of independent rows
are independent of each other, so that the exact binomial tail holds, for categories and small grids of numbers as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.arrays import AnyArray, BoolArray, IntArray
from backstay.monitor.detectors.rates import Share

SEED = 20_261_122
# Near copies are looked for among this many rows (or groups) on end.
BLOCK = 20
# Blocks that a window has at least, and a reference: with fewer, the chance that all are marked is not small enough.
LEAST_BLOCKS = 14
# Of the reference's blocks so many say how many copies are usual; the others, how often there are more.
FIRST = 4
SMALLEST, LARGEST = 20, 15_000
PER_OCTAVE = 2
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Size:
    """What the reference says of blocks of `rows` rows (or groups).

    Args:
        most: copies in each of its first blocks, at most. more: the other blocks, and those of them with more.
        copied: the share of rows that were copies of another one of their block.
    """

    rows: int
    most: int
    more: Share
    copied: float


@dataclass(frozen=True, slots=True)
class Copies:
    """The sizes of blocks that a reference is large enough for, ascending."""

    sizes: tuple[Size, ...]

    @staticmethod
    def fit(keys: AnyArray, codes: AnyArray | None) -> Copies:
        """Args: `keys` [n]: alike where rows are; codes: groups of the rows."""
        units = _units(len(keys), codes)
        found = []
        for rows in _grid():
            if rows * LEAST_BLOCKS > _count(units):
                break
            copies, held = in_blocks(keys, units, rows)
            most = int(copies[:FIRST].max())
            more = copies[FIRST:] > most
            found.append(Size(rows, most, Share.of(more), float(copies.sum() / held.sum())))
        return Copies(tuple(found))

    def size_for(self, independent: int) -> Size | None:
        """The largest blocks of which a window of so many rows (or groups) has enough; None where it has too few."""
        return next((size for size in reversed(self.sizes) if size.rows * LEAST_BLOCKS <= independent), None)

    def look(self, keys: AnyArray, codes: AnyArray | None, size: Size, alpha: float) -> tuple[float, str]:
        """Marked blocks over how many would alarm at this level, and words for people."""
        copies, held = in_blocks(keys, _units(len(keys), codes), size.rows)
        evidence = size.more.evidence(Share.of(copies > size.most), alpha)
        now = float(copies.sum() / held.sum())
        what = "rows" if codes is None else "groups"
        return evidence, f"rows that come again among {size.rows} random {what}: {size.copied:.1%} -> {now:.1%}"

    def to_json(self) -> list[Json]:
        return [
            {"rows": size.rows, "most": size.most, "more": size.more.to_json(), "copied": size.copied}
            for size in self.sizes
        ]

    @staticmethod
    def from_json(state: list[Mapping[str, Any]]) -> Copies:
        return Copies(
            tuple(Size(int(s["rows"]), int(s["most"]), Share.from_json(s["more"]), float(s["copied"])) for s in state)
        )


def row_keys(columns: Mapping[str, AnyArray]) -> AnyArray:
    """A number a row [n], the same where all columns are: 64 bits, so that two of a million rows hardly ever share one.

    >>> keys = row_keys({"a": np.array([0.0, np.nan, -0.0, 1.0]), "b": np.array(["x", None, "x", "x"], dtype=object)})
    >>> bool(keys[0] == keys[2]), len(set(keys.tolist()))
    (True, 3)
    """
    keys = np.zeros(len(next(iter(columns.values()))), dtype=np.uint64)
    for values in columns.values():
        keys = _mixed(keys * MIX + _bits(values))
    return keys


def again(keys: AnyArray) -> BoolArray:
    """Rows [n] that are like a row before them."""
    _, first = np.unique(keys, return_index=True)
    found = np.ones(len(keys), dtype=np.bool_)
    found[first] = False
    return found


def in_blocks(keys: AnyArray, units: IntArray, rows: int) -> tuple[IntArray, IntArray]:
    """Copies in each whole block of so many units, and rows."""
    count = _count(units)
    blocks = count // rows
    place = np.random.Generator(np.random.PCG64(SEED)).permutation(count)
    block = place[units] // rows
    inside = block < blocks
    block, (_, codes) = block[inside], np.unique(keys[inside], return_inverse=True)
    held = np.bincount(block, minlength=blocks)
    different = np.unique(block * np.int64(len(keys) + 1) + codes.reshape(-1)) // np.int64(len(keys) + 1)
    return held - np.bincount(different, minlength=blocks), held


def _units(rows: int, codes: AnyArray | None) -> IntArray:
    """The number of each row's group, from 0; each row is one of its own where there are none."""
    if codes is None:
        return np.arange(rows)
    return np.asarray(np.unique(codes, return_inverse=True)[1].reshape(-1), dtype=np.int64)


def _count(units: IntArray) -> int:
    return int(units.max()) + 1 if len(units) else 0


def _grid() -> list[int]:
    steps = int(np.log2(LARGEST / SMALLEST) * PER_OCTAVE) + 1
    return [round(SMALLEST * 2 ** (step / PER_OCTAVE)) for step in range(steps)]


def _bits(values: AnyArray) -> AnyArray:
    """Values as 64 bits; gaps are alike, and so are 0 and -0."""
    if values.dtype.kind == "f":
        plain = values.astype(np.float64) + 0.0
        plain[np.isnan(plain)] = np.nan
        return plain.view(np.uint64)
    known: dict[str | None, int] = {}
    codes = [known.setdefault(None if value is None else str(value), len(known)) for value in values]
    return np.array(codes, dtype=np.uint64)


def _mixed(values: AnyArray) -> AnyArray:
    """Every bit of the outcome depends on every bit given (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def near_copies(columns: Mapping[str, AnyArray], codes: AnyArray | None) -> tuple[BoolArray, BoolArray]:
    """Which whole blocks of rows hold a copy, and which rows are copies of one in their block.

    With groups a block is `BLOCK` groups whole, so that blocks stay independent of each other.
    """
    rows = len(next(iter(columns.values()))) if columns else 0
    units = np.arange(rows) if codes is None else _by_appearance(codes)
    block_of = units // BLOCK
    blocks = (int(units.max()) + 1) // BLOCK if rows else 0
    seen: set[tuple[object, ...]] = set()
    copied = np.zeros(rows, dtype=np.bool_)
    for row, key in enumerate(zip(block_of.tolist(), *map(words_of, columns.values()), strict=True)):
        copied[row] = key in seen
        seen.add(key)
    marked = np.zeros(blocks, dtype=np.bool_)
    inside = block_of[copied]
    marked[inside[inside < blocks]] = True
    return marked, copied


def _by_appearance(codes: AnyArray) -> AnyArray:
    """Group numbers in the order in which groups first appear."""
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(rank[places.reshape(-1)])


def words_of(values: AnyArray) -> list[Any]:
    """Values that can be compared: numbers as they are, all else as text, gaps as one mark."""
    if values.dtype.kind == "f":
        return ["missing" if value != value else value for value in values.tolist()]
    return ["missing" if value is None else str(value) for value in values]
