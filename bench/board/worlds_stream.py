"""A stream of labelled errors, one in ten, that becomes .13: made up, the same in every environment."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

USUAL, RAISED = 0.10, 0.13
REFERENCE, NULL_ITEMS, NULL_STREAMS = 20_000, 100_000, 5
BEFORE, AFTER, CHANGED_STREAMS = 5_000, 20_000, 20


def reference(seed: int) -> Array:
    """Labelled errors before the release."""
    rng = np.random.Generator(np.random.PCG64([71, seed]))
    return (rng.random(REFERENCE) < USUAL).astype(np.float64)


def unchanged(seed: int) -> list[Array]:
    rng = np.random.Generator(np.random.PCG64([72, seed]))
    return [(rng.random(NULL_ITEMS) < USUAL).astype(np.float64) for _ in range(NULL_STREAMS)]


def changed(seed: int) -> list[Array]:
    """Five thousand items as before, then the change."""
    rng = np.random.Generator(np.random.PCG64([73, seed]))
    rates = np.where(np.arange(BEFORE + AFTER) < BEFORE, USUAL, RAISED)
    return [(rng.random(len(rates)) < rates).astype(np.float64) for _ in range(CHANGED_STREAMS)]


def summary(false_alarms: int, firsts: list[int | None]) -> dict[str, Any]:
    """False alarms in all unchanged items, and items from the change to the first alarm after it."""
    delays = [AFTER if first is None else first - BEFORE + 1 for first in firsts]
    return {
        "false": false_alarms,
        "items": NULL_ITEMS * NULL_STREAMS,
        "delays": delays,
        "missed": firsts.count(None),
    }
