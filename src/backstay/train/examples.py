"""Rows made ready for torch: what was learned of the columns (`Profile`), and tensors by it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.bundle.inputs import image_pixels, text_of
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Schema

_MOST_LEVELS = 2000


@dataclass(frozen=True)
class Profile:
    """What preprocessing learned from the training rows.

    Args:
        image: name of the image column; then `shape` is its (H, W, C), means and deviations are a channel each.
        numbers, categories: names of the columns of a table; means and deviations are a number each.
        levels: the known values of each category, in the order of their codes (which begin at 2).
    """

    image: str | None
    shape: tuple[int, ...]
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    levels: dict[str, tuple[str, ...]]

    @property
    def encoder(self) -> str:
        """What `encoder = "auto"` means for these columns."""
        return "conv" if self.image else "mlp"


def profile_of(table: pa.Table, schema: Schema, train: npt.NDArray[np.int64]) -> Profile:
    """Learn the preprocessing from the training rows alone."""
    features = [schema.column(name) for name in schema.features]
    if not features:
        raise BackstayError("there are no feature columns", fix="name some with data.features")
    rows = table.take(pa.array(train))
    images = [c for c in features if c.kind is ColumnKind.IMAGE]
    if images:
        if len(features) > 1:
            raise BackstayError(
                f"an image column ({images[0].name!r}) beside {len(features) - 1} other features",
                fix="train on the image alone or on the other columns: name them with data.features",
            )
        pixels = image_pixels(rows.column(images[0].name), images[0].name, images[0].shape) / np.float32(255)
        means, deviations = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
        return Profile(
            images[0].name, images[0].shape, (), (), _floats(means), _floats(np.maximum(deviations, 0.05)), {}
        )
    unusable = [c for c in features if c.kind in (ColumnKind.TEXT, ColumnKind.TIME)]
    if unusable:
        raise BackstayError(
            f"the feature {unusable[0].name!r} is {unusable[0].kind.value}, which the trainer cannot learn from",
            fix="put it under data.ignore, or declare it a category under data.columns",
        )
    numbers = tuple(c.name for c in features if c.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER))
    categories = tuple(c.name for c in features if c.name not in numbers)
    centres = [_centre(_numbers(rows, name)) for name in numbers]
    levels = {name: _levels(rows, name) for name in categories}
    return Profile(None, (), numbers, categories, tuple(c for c, _ in centres), tuple(s for _, s in centres), levels)


def tensors_of(profile: Profile, table: pa.Table) -> tuple[Tensor, ...]:
    """The encoder's inputs for these rows: pixels; or numbers and codes, whichever there are."""
    if profile.image:
        return (
            torch.from_numpy(
                np.ascontiguousarray(image_pixels(table.column(profile.image), profile.image, profile.shape))
            ),
        )
    found: list[Tensor] = []
    if profile.numbers:
        columns = [
            ((_numbers(table, name) - mean) / deviation).astype(np.float32)
            for name, mean, deviation in zip(profile.numbers, profile.means, profile.deviations, strict=True)
        ]
        found.append(torch.from_numpy(np.column_stack(columns)))
    if profile.categories:
        found.append(torch.from_numpy(np.column_stack([_codes(profile, table, name) for name in profile.categories])))
    return tuple(found)


def class_codes(column: pa.ChunkedArray, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Targets as positions in `classes`; -1 where missing or none of them."""
    places = {name: i for i, name in enumerate(classes)}
    return np.array([places.get(_target(v), -1) for v in column.to_pylist()], dtype=np.int64)


def _target(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text_of(value)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = np.asarray(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)
    return values


def _centre(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    deviation = float(finite.std())
    return float(finite.mean()), deviation if deviation > 1e-12 else 1.0


def _levels(table: pa.Table, name: str) -> tuple[str, ...]:
    counts = Counter(text_of(v) for v in table.column(name).to_pylist())
    counts.pop("", None)
    return tuple(sorted(counts, key=lambda level: (-counts[level], level))[:_MOST_LEVELS])


def _codes(profile: Profile, table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    places = {"": 1, **{level: i + 2 for i, level in enumerate(profile.levels[name])}}
    return np.array([places.get(text_of(v), 0) for v in table.column(name).to_pylist()], dtype=np.int64)


def _floats(values: npt.NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
