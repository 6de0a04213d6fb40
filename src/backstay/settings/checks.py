"""What no single table can say of itself: settings that make one another impossible."""

from __future__ import annotations

import math
from collections.abc import Iterator

from backstay.kernel.errors import nearest
from backstay.settings.root import Settings
from backstay.settings.watch import known_detectors

# Detectors that read input columns and nothing else.
READERS = ("columns", "schema")


def contradictions(settings: Settings) -> list[tuple[str, str]]:
    """Each contradiction, and a way out of it."""
    return [
        *_of_no_effect(settings),
        *_blinded(settings),
        *_without_encoder(settings),
        *_too_short(settings),
    ]


def _of_no_effect(settings: Settings) -> Iterator[tuple[str, str]]:
    """Detectors that nobody has, or none at all, and a share of rows that nobody looks at."""
    asked, known = settings.watch.detectors, known_detectors()
    if not asked:
        yield "watch.detectors is empty, so that nothing would be judged", f"name one or more of {', '.join(known)}"
    for name in asked:
        if name not in known:
            yield f"watch.detectors names {name!r}, which is no detector", nearest(name, known)
    for name in settings.budget.weights:
        if name not in known:
            yield f"budget.weights names {name!r}, which is no detector", nearest(name, known)
    if settings.watch.planned_share is not None and "engagement" not in asked:
        yield (
            'watch.planned_share is looked at by the detector "engagement", which is not in watch.detectors',
            'add "engagement" to watch.detectors, or take watch.planned_share out',
        )


def _blinded(settings: Settings) -> Iterator[tuple[str, str]]:
    """What a log without inputs makes impossible, as far as the project file alone can tell; and a way out of each."""
    retrain, kept = settings.retrain, settings.serve.log_inputs
    if retrain.auto_promote and not retrain.from_log:
        yield (
            "retrain.auto_promote = true is about what `watch --act` retrains, and retrain.from_log = false forbids it",
            "set retrain.auto_promote = false",
        )
    # Where only predictions are known no server of ours logs anything: what an import holds is in the import.
    if kept == "all" or settings.task == "predictions":
        return
    what = f'serve.log_inputs = "{kept}" keeps no inputs'
    for name in READERS:
        if name in settings.watch.detectors:
            yield (
                f'{what}, and the detector "{name}" in watch.detectors reads them',
                f'take "{name}" out of watch.detectors, or set serve.log_inputs = "all"',
            )
    if retrain.from_log:
        able = "retrain.auto_promote = true and " if retrain.auto_promote else ""
        yield (
            f"{what}, and {able}retrain.from_log = true would have challengers learn from them",
            "set retrain.from_log = false and auto_promote = false and offer challengers with `backstay adopt "
            '--challenger`, or set serve.log_inputs = "all"',
        )


def _without_encoder(settings: Settings) -> Iterator[tuple[str, str]]:
    """A start, a decoder or ranks of a classifier's encoder, where there is none."""
    train = settings.train
    if settings.data.pairs and (train.model != "encoder" or settings.task != "classification"):
        yield "data.pairs teaches the encoder of a classifier, and there is none", "take data.pairs out"
    if (train.start_from or train.freeze) and (train.model != "encoder" or settings.task != "classification"):
        name = "start_from" if train.start_from else "freeze"
        what = f'train.model = "{train.model}"' if train.model != "encoder" else f'task = "{settings.task}"'
        yield (
            f"train.{name} is about the encoder of a classifier, and {what}",
            'set train.start_from = "" and train.freeze = false',
        )
    if (train.enhance or train.head == "anomaly") and (train.model != "encoder" or settings.task != "classification"):
        name = "train.enhance" if train.enhance else 'train.head = "anomaly"'
        what = f'train.model = "{train.model}"' if train.model != "encoder" else f'task = "{settings.task}"'
        yield (
            f"{name} needs the encoder of a classifier, and {what}",
            'set train.enhance = false, and train.head = "linear"',
        )


def _too_short(settings: Settings) -> Iterator[tuple[str, str]]:
    """A log that forgets what windows, late labels and the standing sample still need."""
    kept, watch = settings.log.keep_days, settings.watch
    if kept is None:
        return
    if kept < 2 * watch.window_days:
        yield (
            f"log.keep_days = {kept} is shorter than two windows of watch.window_days = {watch.window_days:g}: rows "
            "are drawn for labels when their window closes, and looked at while the next one fills",
            f"keep {math.ceil(2 * watch.window_days)} days or more, or shorten the windows",
        )
    waits = settings.labels.maturity_days
    if waits and kept < waits + watch.window_days:
        yield (
            f"log.keep_days = {kept} is shorter than a window and labels.maturity_days = {waits:g}: when labels count, "
            "their rows would be gone",
            f"keep {math.ceil(waits + watch.window_days)} days or more, or lower labels.maturity_days",
        )
    if kept < watch.maximum_label_age_days:
        yield (
            f"log.keep_days = {kept} is shorter than watch.maximum_label_age_days = {watch.maximum_label_age_days:g}: "
            "a label that comes so late would find no row",
            f"keep {math.ceil(watch.maximum_label_age_days)} days or more, or lower watch.maximum_label_age_days",
        )
