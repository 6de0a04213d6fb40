"""The sum behind the advice on retraining, term by term, as people read it."""

from __future__ import annotations

from typing import Any

from backstay.kernel.records import Decision


def arithmetic(decision: Decision) -> list[str]:
    """Every term of the sum on a line, with as many digits as people read; JSON has them all."""
    return [f"{name}: {_rounded(term)}" for name, term in decision.terms.items()]


def _rounded(term: Any) -> str:
    """
    >>> [_rounded(v) for v in (0.22694354457927857, 12345.678, 90.0, 2.7699999, 0.00001234, "50 labels", 3)]
    ['0.2269', '12,346', '90', '2.77', '1.234e-05', '50 labels', '3']
    """
    if not isinstance(term, float):
        return str(term)
    return f"{term:,.0f}" if abs(term) >= 1000 else f"{term:.4g}"
