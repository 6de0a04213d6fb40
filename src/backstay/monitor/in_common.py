"""What some rows have in common that others have not, in words: columns, figures and answers. Nothing is tested."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

MOST_WORDS = 3
# Standard deviations by which a column differs before it is told.
TOLD = 0.5


def in_common(source: Reference | WindowData, rows: IntArray, reference: Reference, usual: IntArray) -> tuple[str, ...]:
    """The two or three columns in which these rows differ most from the usual reference rows, and their answer.

    In brackets what is usual: a mean, or the share of rows with that value.
    """
    known = _values(reference)
    there = _values(source)
    found = [
        _number(name, there[name][rows], values[usual])
        if values.dtype.kind == "f"
        else _category(name, there[name][rows], values[usual])
        for name, values in known.items()
        if name in there and there[name].dtype.kind == values.dtype.kind
    ]
    told = sorted((one for one in found if one[0] >= TOLD), key=lambda one: -one[0])
    return (*(words for _, words in told[:MOST_WORDS]), *_answer(source, rows, reference, usual))


def _values(source: Reference | WindowData) -> Mapping[str, AnyArray]:
    answers = {} if source.numbers is None else {"the answer": source.numbers}
    return {**source.columns, **source.traits, **answers}


def _number(name: str, here: FloatArray, usual: FloatArray) -> tuple[float, str]:
    """How far off a number is, and the words: its mean, or the share of missing values where that differs more."""
    missing, missed = 1.0 - _known_share(here), 1.0 - _known_share(usual)
    gap = _off(missing, missed)
    known, before = here[np.isfinite(here)], usual[np.isfinite(usual)]
    if not len(known) or not len(before):
        return gap, f"{name} missing {missing:.0%} ({missed:.0%})"
    spread = float(before.std())
    away = abs(float(known.mean()) - float(before.mean())) / spread if spread > 0.0 else 0.0
    if gap > away:
        return gap, f"{name} missing {missing:.0%} ({missed:.0%})"
    return away, f"{name} {known.mean():.4g} ({before.mean():.4g})"


def _known_share(values: FloatArray) -> float:
    return float(np.isfinite(values).mean())


def _category(name: str, here: AnyArray, usual: AnyArray) -> tuple[float, str]:
    """How much commoner the commonest value here is, and the words."""
    value, share = _commonest(here)
    before = float(np.mean(_texts(usual) == value))
    return _off(share, before), f"{name} {value} {share:.0%} ({before:.0%})"


def _answer(source: Reference | WindowData, rows: IntArray, reference: Reference, usual: IntArray) -> tuple[str, ...]:
    if not reference.of_classes or len(rows) == 0:
        return ()
    return (f"answered {_category('', source.predicted[rows], reference.predicted[usual])[1].strip()}",)


def _off(share: float, before: float) -> float:
    return abs(share - before) / float(np.sqrt(before * (1.0 - before) + 0.01))


def _commonest(values: AnyArray) -> tuple[str, float]:
    names, counts = np.unique(_texts(values), return_counts=True)
    most = int(counts.argmax())
    return str(names[most]), float(counts[most] / counts.sum())


def _texts(values: AnyArray) -> AnyArray:
    return np.asarray(["missing" if value is None else str(value) for value in values])
