"""Texts that are numbers: with a comma for the point, a sign of money, in quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

ENOUGH = 0.95
FEW = 12
"""Whole numbers of no more different values are codes as likely as they are numbers."""
_ADORNED = re.compile(r"[$€£%'\s]")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?(\d+,\d+|\d{1,3}(,\d{3})+(\.\d+)?|\d{1,3}(\.\d{3})+,\d+)")
_CODE = re.compile(r"0\d")


@dataclass(frozen=True, slots=True)
class Written:
    """How a column of text writes its numbers: an example, whether all are whole, and whether Arrow reads each."""

    example: str
    whole: bool
    plain: bool

    @property
    def fix(self) -> str:
        """What to do where they are meant as numbers."""
        if self.plain:
            return 'if it is measured, say "number" for it under [data.columns]'
        return "if it is measured, write it as plain numbers in the file, such as 1234.5, and leave gaps empty"


def written_numbers(column: pa.ChunkedArray) -> Written | None:
    """How a column of text writes numbers, None where fewer than 95% of its values are any.

    Digits that begin with a nought are codes, and so may be whole numbers of up to twelve different values.

    >>> written_numbers(pa.chunked_array([["1,23", "0,5", None]]))
    Written(example='1,23', whole=False, plain=False)
    >>> written_numbers(pa.chunked_array([["01067", "10115"]])) is None
    True
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    counts = [(c["values"], c["counts"]) for c in pc.value_counts(column.drop_null().combine_chunks()).to_pylist()]
    bare = {text: _ADORNED.sub("", text) for text, _ in counts}
    if not counts or any(_CODE.match(text) for text in bare.values()):
        return None
    numbers = [text for text in bare if _PLAIN.fullmatch(bare[text]) or _GROUPED.fullmatch(bare[text])]
    known = set(numbers)
    if sum(n for text, n in counts if text in known) < ENOUGH * sum(n for _, n in counts):
        return None
    whole = all(bare[text].lstrip("+-").isdigit() for text in numbers)
    if whole and len(numbers) <= FEW:
        return None
    return Written(numbers[0], whole, all(_PLAIN.fullmatch(text.strip()) for text in bare))
