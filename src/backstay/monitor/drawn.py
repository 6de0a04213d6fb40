"""The accuracy of one window from labels that were drawn by doubt: each stratum counts with its rows."""

from __future__ import annotations

import numpy as np

from backstay.kernel.records import Estimate, Interval
from backstay.maths.stratified import stratified_mean
from backstay.monitor.conviction import CONVICTS, upper_of_draw
from backstay.monitor.traffic import Drawn

KIND = "stratified"
METHOD = "Jeffreys by stratum, MOVER"
ASSUMPTION = "the rows were drawn from this window by stratum with known chances; nothing is assumed of the model"
# What people leave unanswered is seldom what is easy.
ANSWERED = 0.9


def from_draw(drawn: Drawn, alpha: float = 0.0) -> Estimate:
    """Accuracy of the rows that were drawn from, refused while a tenth of the draw or more waits for its label.

    Args:
        alpha: as of `monitor.estimate.from_labels`.
    """
    labels = sum(drawn.labels)
    asked = labels + drawn.waiting
    figures = {
        "right": sum(drawn.right),
        "from": drawn.start.isoformat(),
        "to": drawn.end.isoformat(),
        "strata": [
            {"rows": rows, "labels": n, "right": right}
            for rows, n, right in zip(drawn.rows, drawn.labels, drawn.right, strict=True)
        ],
    }
    refusals: tuple[str, ...] = ()
    if labels < ANSWERED * asked:
        refusals = (f"{drawn.waiting} of {asked} rows drawn by doubt wait for their label",)
    elif min(drawn.labels) == 0:
        refusals = ("no row of one stratum has a label",)
    if refusals:
        return Estimate(
            KIND, "accuracy", None, None, sum(drawn.rows), ASSUMPTION, refusals, labels, drawn.waiting, figures
        )
    found = stratified_mean(np.asarray(drawn.right), np.asarray(drawn.labels), np.asarray(drawn.rows))
    return Estimate(
        kind=KIND,
        metric="accuracy",
        value=found.value,
        interval=Interval(found.low, found.high, 0.95, METHOD),
        n=sum(drawn.rows),
        assumption=ASSUMPTION,
        labels=labels,
        figures={**figures, "n_effective": found.effective, CONVICTS: upper_of_draw(figures, alpha)},
    )
