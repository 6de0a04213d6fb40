"""Settings of [train] that somebody set and that nothing reads in that combination: an error, not a silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from backstay.settings.root import Settings
from backstay.settings.train import ENCODER, TrainSettings

# What a model without an encoder reads; and how long and wide training is, which a file keeps while its owner tries one
# model after another.
PLAIN = ("model", "model_options", "seed", "threads")
LENGTHS = ("epochs", "patience", "batch_size", "learning_rate", "weight_decay", "dimension", "schedule", "cached_rows")
# Read by nothing where the target is no class: they are about classes and pairs of rows.
OF_CLASSES = ("early_stopping", "samples_per_class", "quarter_turns", "temperature")
# What means that nothing is done, beside a key's default: nobody needs to read it.
NOTHING: Mapping[str, tuple[Any, ...]] = {
    "augmentation": (0.0,),
    "device": ("auto",),
    "early_stopping": ("loss",),
}
# Said elsewhere, with a way out of its own.
ELSEWHERE = ("start_from", "freeze", "enhance", "pairs_weight")


def named_keys(document: Mapping[str, Any], levels: Collection[Mapping[str, Any]]) -> frozenset[str]:
    """Keys of [train] that the project file sets for the model in question.

    An override that makes it a model of another kind inherits the rest from the top, where it was said of others: only
    what stands beside it, or below, was set for it.

    Args:
        document: the top of the file. levels: the overrides that apply, the last one first in rank.
    """
    found: set[str] = set()
    for level in (document, *levels):
        train = level.get("train")
        keys = set(train) if isinstance(train, dict) else set()
        found = keys if "task" in level or "model" in keys else found | keys
    return frozenset(found)


def unread(settings: Settings, named: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each key that was set to something and that nobody reads, and a way out of it."""
    train, task = settings.train, settings.task
    if task == "predictions":
        return
    if train.model != ENCODER:
        idle = [key for key in _set(train, named) if key not in (*PLAIN, *LENGTHS, *ELSEWHERE)]
        if idle:
            what = " and ".join(f"train.{key}" for key in idle)
            yield (
                f'{what} {_are(idle)} about encoders, and train.model = "{train.model}" has none',
                f'take {_them(idle)} out, or set train.model = "encoder"',
            )
        return
    if train.model_options and "model_options" in named:
        yield (
            "train.model_options is about models without an encoder, and train.model is an encoder",
            "take it out: an encoder has train.encoder_options",
        )
    if task != "classification":
        idle = [key for key in _set(train, named) if key in OF_CLASSES]
        if idle:
            what = " and ".join(f"train.{key}" for key in idle)
            yield f'{what} {_are(idle)} about classes, and task = "{task}"', f"take {_them(idle)} out"
    if train.augmentation == 0:
        idle = [key for key in _set(train, named) if key in ("flip", "augmentation_options")]
        if idle:
            usual = "" if "augmentation" in named else f', as is usual where task = "{task}"'
            yield (
                f"{' and '.join(f'train.{key}' for key in idle)} {_are(idle)} about changes to images, and "
                f"train.augmentation is 0{usual}: no row is changed",
                "set train.augmentation above 0, such as 1.0",
            )


def _set(train: TrainSettings, named: Collection[str]) -> list[str]:
    """Keys that were set to something else than what would be done anyway."""
    return [
        key
        for key, field in TrainSettings.model_fields.items()
        if key in named and getattr(train, key) not in (field.get_default(), *NOTHING.get(key, ()))
    ]


def _are(keys: list[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _them(keys: list[str]) -> str:
    return "it" if len(keys) == 1 else "them"
