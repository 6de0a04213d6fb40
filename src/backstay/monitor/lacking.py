"""Rows that were logged with less than others: who reads what they lack leaves them out and says so, all others count
them. One answer without scores must not cost a detector its eyes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backstay.kernel.records import Signal
from backstay.monitor.fitted import Detectors
from backstay.monitor.sample import take
from backstay.monitor.traffic import COLUMNS, REPRESENTATION, SCORES, WindowData

EVERYTHING = (SCORES, REPRESENTATION, COLUMNS)
# What rows must have for a built-in detector. One of another package is given rows that lack nothing.
READ_COLUMNS = frozenset({"columns", "schema"})
READ_INPUTS = frozenset({"embedding", "exchangeability", "geometry", "novelty"})
READ_ANSWERS = frozenset({"prediction"})
READ_NEITHER = frozenset(
    {
        "confident_errors",
        "engagement",
        "group_answers",
        "groups",
        "label_quality",
        "labelled_error",
        "service",
        "slices",
    }
)
_WORDS = {SCORES: "scores", REPRESENTATION: "embeddings", COLUMNS: "inputs"}


def read_by(name: str, detectors: Detectors) -> tuple[str, ...]:
    """The parts of a window's rows that this detector reads."""
    if name in READ_NEITHER:
        return ()
    if name in READ_COLUMNS:
        return (COLUMNS,)
    if name in READ_INPUTS:
        return inputs_of(detectors)
    if name in READ_ANSWERS:
        reference = detectors.reference
        return () if reference.scores is None and reference.members is None else (SCORES,)
    return EVERYTHING


def inputs_of(detectors: Detectors) -> tuple[str, ...]:
    """The part in which this reference says what a row is: its columns where it has no representation."""
    return (COLUMNS,) if detectors.space is not None and detectors.space.parts else (REPRESENTATION,)


def having(window: WindowData, parts: tuple[str, ...]) -> WindowData:
    """The window's rows that have these parts, as far as any has them."""
    marks = [window.lacks[part] for part in parts if part in window.lacks]
    return take(window, ~np.logical_or.reduce(marks)) if marks else window


def told(signal: Signal, window: WindowData, kept: WindowData, parts: tuple[str, ...]) -> Signal:
    """The signal of the kept rows, with how many of the window's were left out, and why."""
    left = len(window) - len(kept)
    if not left:
        return signal
    words = " or ".join(_WORDS[part] for part in parts if part in window.lacks)
    message = f"{signal.message}; {left} {'row has' if left == 1 else 'rows have'} no {words}: left out"
    return replace(signal, message=message, figures={**signal.figures, "left_out": left})
