"""Backstay under a changed meaning: its detectors of labelled and of confident errors, and its PPI++ estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds_concept import LABELS, STREAMS, Answers, ConceptWorld, strongest

from backstay.maths.betting import null_error
from backstay.maths.detector import ErrorDetector
from backstay.maths.intervals import clopper_pearson
from backstay.maths.labelfree import predict_correct
from backstay.maths.ppi import ppi_plus_plus
from backstay.maths.surprise import Surprise, chance_of_as_many
from backstay.settings import parse

PACKAGES = ("backstay", "numpy", "scipy")
# Steps to a false alarm that each setting promises, the loosest first.
THRESHOLDS = tuple(float(a) for a in np.geomspace(10.0, 20_000.0, 20))
DELTA = 0.05
# Of the budget of one false alarm a year, what each detector of labels has when all that watch unasked are there.
SHARE = 0.2


def run(given: dict[str, Any]) -> dict[str, Any]:
    world = ConceptWorld(given["seed"])
    reference = world.reference()
    tolerance = parse({"version": 1, "name": "scoreboard"}).watch.tolerance
    found: dict[str, Any] = {}
    for labels in LABELS[1:]:
        for number in range(STREAMS):
            stream = world.stream(number)
            key = f"{labels}, {number}"
            detector = _detector(reference, stream, labels, tolerance)
            found[key] = {
                "labelled error": detector,
                "confident errors": _confident(reference, stream, labels, tolerance),
                "PPI++ estimate": _estimate(reference, stream, labels, tolerance),
            }
    return {"found": found}


def _detector(reference: Answers, stream: list[Answers], labels: int, tolerance: float) -> list[list[Any]]:
    errors = float(len(reference.right) - reference.right.sum())
    m0 = null_error(errors, float(len(reference.right)), DELTA, tolerance)
    usual = 365 / 7 * labels / SHARE
    said = {limit: _alarms(stream, labels, m0, limit) for limit in (*THRESHOLDS, usual)}
    scores = strongest([said[limit] for limit in THRESHOLDS])
    return [list(pair) for pair in zip(scores, said[usual], strict=True)]


def _alarms(stream: list[Answers], labels: int, m0: float, limit: float) -> list[bool]:
    detector, found = ErrorDetector.start(m0, limit), []
    for window in stream:
        detector, alarms = detector.update(1.0 - window.right[:labels])
        found.append(bool(alarms))
    return found


def _confident(reference: Answers, stream: list[Answers], labels: int, tolerance: float) -> list[list[Any]]:
    """How small the chance of as heavy mistakes is; by default at the level of a weekly look, beyond the tolerance."""
    surprise = Surprise.fit(np.column_stack([1.0 - reference.scores, reference.scores]), reference.right)
    found = []
    for window in stream:
        cells, wrong = surprise.cells(window.confidence[:labels]), window.right[:labels] == 0.0
        seen, mistakes = (np.bincount(chosen, minlength=len(surprise.rows)) for chosen in (cells, cells[wrong]))
        chance = chance_of_as_many(seen, mistakes, surprise.accepted(seen, DELTA), surprise.weights)
        minded = surprise.accepted(seen, 0.5, tolerance)
        excess = float(surprise.weights @ (mistakes - seen * minded))
        found.append([float(-np.log10(chance)), bool(chance <= SHARE * 7 / 365 and excess > 0.0)])
    return found


def _estimate(reference: Answers, stream: list[Answers], labels: int, tolerance: float) -> list[list[Any]]:
    """How far below the reference's accuracy, in standard errors; by default when the intervals lie a tolerance apart.

    The loosest knob would be any estimate below the reference at all.
    """
    scores, right = reference.confidence[:4000], reference.right[:4000]
    known = clopper_pearson(float(reference.right.sum()), len(reference.right))
    gain = 1.0 - float(np.mean((right - predict_correct(scores, right, scores)) ** 2) / np.var(right))
    accuracy = float(reference.right.mean())
    found = []
    for window in stream:
        chances = predict_correct(scores, right, window.confidence)
        ppi = ppi_plus_plus(window.right[:labels], chances[:labels], chances[labels:], reference_gain=gain)
        error = float(np.sqrt(accuracy * (1 - accuracy) / ppi.n_effective))
        found.append([(accuracy - ppi.estimate) / error, ppi.high < known.low - tolerance])
    return found
