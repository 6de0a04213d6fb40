"""Texts as sparse rows: words, pairs of words and short runs of letters, each weighed by how rare it is.

Weight of a term in a text: (1 + log count) * (1 + log((1 + n) / (1 + texts that have it))); then words and letters are
brought to length 1 each, so that neither drowns the other. Source: Salton and Buckley (1988), sublinear counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from backstay.maths.arrays import FloatArray

_WORD = re.compile(r"\w+|[^\w\s]+")
LETTERS = (2, 3, 4)
LEAST_TEXTS = 2
_WORDS, _RUNS = "w", "c"


@dataclass(frozen=True, slots=True, eq=False)
class TfIdf:
    """The terms that some texts taught, and their weights: `places` by term, `rarity` [terms]."""

    places: dict[str, int]
    rarity: FloatArray
    words: int

    @staticmethod
    def fit(texts: Sequence[str], most: int = 30_000) -> TfIdf:
        """Learn the terms that are in 2 texts or more (all of them where there are hardly any texts).

        Args:
            most: of terms, the commonest first.

        >>> space = TfIdf.fit(["lost card", "lost card again", "new parcel", "new parcel now"])
        >>> "wlost card" in space.places, "wagain" in space.places
        (True, False)
        """
        found: Counter[str] = Counter()
        for text in texts:
            found.update(set(terms(text)))
        least = LEAST_TEXTS if len(texts) >= 2 * LEAST_TEXTS else 1
        kept = sorted((t for t, n in found.items() if n >= least), key=lambda t: (-found[t], t))[:most]
        # Words first, so that the two blocks are ranges of columns.
        kept.sort(key=lambda t: t[0] != _WORDS)
        rarity = np.array([1.0 + np.log((1 + len(texts)) / (1 + found[t])) for t in kept])
        words = sum(t[0] == _WORDS for t in kept)
        return TfIdf({term: place for place, term in enumerate(kept)}, rarity, words)

    def rows(self, texts: Sequence[str]) -> sp.csr_array:
        """Sparse rows [n, terms]; a text without a known term is a row of zeros."""
        columns: list[int] = []
        values: list[float] = []
        starts = [0]
        for text in texts:
            counts = Counter(p for t in terms(text) if (p := self.places.get(t)) is not None)
            columns += counts.keys()
            values += counts.values()
            starts.append(len(columns))
        weights = (1.0 + np.log(np.array(values, dtype=np.float64))) * self.rarity[np.array(columns, dtype=np.int64)]
        whole = sp.csr_array((weights, columns, starts), shape=(len(texts), len(self.places)))
        blocks = [_unit(whole[:, : self.words]), _unit(whole[:, self.words :])]
        return sp.csr_array(sp.hstack(blocks, format="csr"))


def terms(text: str) -> Iterable[str]:
    """The terms of a text, repeated as often as they come: words, pairs of words, runs of 2 to 4 letters of a word.

    >>> sorted(set(terms("Hi")))
    ['c h', 'c hi', 'c hi ', 'chi', 'chi ', 'ci ', 'whi']
    """
    found = _WORD.findall(text.lower())
    yield from (_WORDS + word for word in found)
    yield from (f"{_WORDS}{a} {b}" for a, b in pairwise(found))
    for word in found:
        padded = f" {word} "
        for size in LETTERS:
            yield from (_RUNS + padded[i : i + size] for i in range(len(padded) - size + 1))


def _unit(rows: sp.csr_array) -> sp.csr_array:
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).reshape(-1))
    return sp.csr_array(sp.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ rows)
