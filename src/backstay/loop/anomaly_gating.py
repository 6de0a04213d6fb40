"""What is measured of a model with the head "anomaly" besides: how well it ranks anomalies, beside what needs no model.

Such a model answers by a rank among normal rows. Its accuracy, where one row in a hundred is an anomaly, hardly beats
"always normal"; and anomalies that it has not learned from need not lie beside each other in its space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model, Outputs
from backstay.evaluate.controls import thinned
from backstay.evaluate.ranks import FEWEST, Ranking, compare_ranks, measure_ranks, raw_distance
from backstay.kernel.records import Comparison, Measurement
from backstay.loop.examples import groups_of, target_of, texts
from backstay.loop.gate_case import GateRows, positions
from backstay.loop.raw_rows import raw_rows
from backstay.maths.arrays import FloatArray, IntArray

HEAD = "anomaly"
NEIGHBOURS = 5
JUDGED_BY = (
    "an anomaly model is judged by how well it ranks anomalies before normal rows (auc), beside the distance to the "
    f"{NEIGHBOURS} nearest normal rows of the raw input; not by the classes of its encoder's neighbours"
)


def ranks_anomalies(model: Model) -> bool:
    """The model was trained here with the head "anomaly"."""
    return model.manifest.recipe.get("head") == HEAD and len(model.classes) == 2


def measured_ranks(
    answered: tuple[Model, Outputs],
    champion: tuple[str, tuple[str, ...], Outputs] | None,
    rows: GateRows,
    *,
    training: pa.Table | None,
) -> tuple[list[Measurement], list[Comparison], tuple[str, ...]]:
    """Areas under the ROC curve of the champion and of the controls, and the candidate's differences from them.

    The controls are "majority", which ranks nothing, and "raw_knn", the distance of the raw row to normal ones. Rows
    whose label is neither class are left out; a champion without a score of the anomalous class is not compared.

    Args:
        champion: the live model's id, its classes, and its answers to the same rows.
        training: rows whose normal ones are near or far; None lets the gate rows serve, each row's group left out.
    """
    model, outputs = answered
    classes = tuple(model.classes)
    truth = positions(classes, texts(rows.table, target_of(rows.schema)))
    known = truth if training is None else positions(classes, texts(training, target_of(rows.schema)))
    normal = _normal(model.manifest.recipe, classes, known)
    told = truth >= 0
    ours = _strangeness(outputs, classes, classes[1 - normal])
    if ours is None:
        return [], [], (JUDGED_BY,)
    groups = groups_of(rows.table, rows.schema)
    ranking = Ranking(truth[told] != normal, ours[told], None if groups is None else groups[told])
    others = {"control:majority": np.zeros(len(truth)), "control:raw_knn": _raw(rows, training, known == normal)}
    theirs = None if champion is None else _strangeness(champion[2], champion[1], classes[1 - normal])
    if champion is not None and theirs is not None:
        others[champion[0]] = theirs
    measured: list[Measurement] = []
    compared: list[Comparison] = []
    for name, strangeness in others.items():
        compared.append(compare_ranks(ranking, strangeness[told], against=name, data_id=rows.data_id))
        of = name if name.startswith("control:") else "champion"
        measured += measure_ranks(ranking.said(strangeness[told]), of=of, data_id=rows.data_id)
    few = () if ranking.enough else (_few(ranking, classes[normal]),)
    return measured, compared, (JUDGED_BY, *few)


def _normal(recipe: Mapping[str, Any], classes: tuple[str, ...], known: IntArray) -> int:
    """The place of the normal class: as the recipe names it, else the commonest."""
    name = recipe.get("head_options", {}).get("normal", "")
    return classes.index(name) if name in classes else int(np.bincount(known[known >= 0], minlength=2).argmax())


def _strangeness(outputs: Outputs, classes: tuple[str, ...], anomalous: str) -> FloatArray | None:
    """The score of the anomalous class [n], where the model gives one."""
    if outputs.scores is None or anomalous not in classes or len(classes) != 2:
        return None
    return np.asarray(outputs.scores[:, classes.index(anomalous)], dtype=np.float64)


def _raw(rows: GateRows, training: pa.Table | None, normal: npt.NDArray[np.bool_]) -> FloatArray:
    """How far each raw row lies from normal ones, of which at most 20,000 are looked at."""
    gallery, queries, codes = raw_rows(rows.table, rows.schema, training)
    places = np.flatnonzero(normal)
    if len(places) == 0:
        return np.full(rows.table.num_rows, np.inf)
    places = places[thinned(len(places))]
    apart = None if codes is None else (codes[places], codes)
    return raw_distance(gallery[places], queries, k=NEIGHBOURS, apart=apart)


def _few(ranking: Ranking, normal: str) -> str:
    odd = int(ranking.anomalous.sum())
    return (
        f"the gate rows hold {odd} anomalies and {len(ranking.anomalous) - odd} of {normal!r}, and from {FEWEST} of "
        "each on can two rankings be compared: raise data.split.gate, or give more labelled anomalies"
    )
