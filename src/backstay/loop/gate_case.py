"""The frozen rows on which candidates are measured, and a classifier's answers to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Outputs
from backstay.evaluate.case import Case
from backstay.kernel.records import Schema
from backstay.loop.examples import groups_of
from backstay.maths.classification import UNLABELLED


@dataclass(frozen=True)
class GateRows:
    """The frozen rows on which candidate and champion are compared.

    Args:
        champion_outputs: what the champion answered on these very rows, where it cannot be run here.
        earlier: other rows with known truths, tuning rows included, for the control of what was known last; the
            training rows where not given.
    """

    table: pa.Table
    schema: Schema
    data_id: str
    champion_outputs: Outputs | None = None
    earlier: pa.Table | None = None


def case(
    outputs: Outputs, labels: npt.NDArray[np.object_], classes: tuple[str, ...], rows: GateRows, none_label: str = ""
) -> Case:
    """Predictions and truths as class positions. A label that the model does not know counts as an error, unless the
    model answers `none_label`. A row without a label is an error of every model."""
    truth = positions(classes, labels)
    if none_label:
        truth[(truth < 0) & (labels == UNLABELLED)] = -2
    return Case(
        labels=truth,
        predicted=positions(classes, outputs.labels),
        scores=outputs.scores,
        embeddings=outputs.embeddings,
        groups=groups_of(rows.table, rows.schema),
        classes=classes,
        declines=bool(none_label),
        distances=outputs.distances,
    )


def positions(classes: tuple[str, ...], values: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Labels as positions in `classes`; -1 for one that is not among them."""
    places = {name: i for i, name in enumerate(classes)}
    return np.array([places.get(str(v), -1) for v in values], dtype=np.int64)
