"""What `beats_controls` of the usual policy says of a model in a benchmark, by the gate's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from backstay.evaluate.case import Case
from backstay.evaluate.paired import compare
from backstay.evaluate.runner import measure
from backstay.gate.rules import Context
from backstay.gate.rules.beats_controls import check
from backstay.kernel.records import Comparison, Report, RuleOutcome
from backstay.loop.encoder_controls import EncoderRows, encoder_controls
from backstay.settings import GateSettings

GATE_NEIGHBOURS = 5
DATA = "data"


def verdict(
    scores: npt.NDArray[np.floating],
    truth: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    controls: Mapping[str, npt.NDArray[np.floating]],
    spaces: EncoderRows,
) -> tuple[RuleOutcome, dict[str, Comparison]]:
    """The rule's outcome, and the paired difference in accuracy to each control.

    Args:
        scores: of the model [rows, classes]; truth: class positions [rows].
        controls: scores of each control [rows, classes], "raw_knn" among them.
        spaces: embeddings by the trained and the untrained encoder.
    """

    def case(given: npt.NDArray[np.floating]) -> Case:
        return Case(truth, given.argmax(axis=1), np.asarray(given, dtype=np.float64), None, None, classes)

    model, cases = case(scores), {name: case(given) for name, given in controls.items()}
    measured, compared = encoder_controls(spaces, cases["raw_knn"], k=GATE_NEIGHBOURS, data_id=DATA)
    own = measure(model, data_id=DATA, slices={}, metrics=("accuracy",), of="model")
    found = []
    for name, control in cases.items():
        found += compare(model, control, against=f"control:{name}", data_id=DATA, slices={})
    report = Report("report", "model", DATA, datetime.now(UTC), (*own, *measured), (*found, *compared))
    usual = GateSettings()
    (rule,) = (r for r in usual.rules if r.rule == "beats_controls")
    beside = {c.against.removeprefix("control:"): c for c in found if c.metric == "accuracy" and not c.slice}
    return check(report, rule, Context(None, usual.minimum_n)), beside
