"""Rows made ready for torch: what was learned of the columns (`Profile`), and tensors by it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.bundle.inputs import image_pixels, text_of, vector_values
from backstay.bundle.tokens import Tokens
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.options import Options
from backstay.train.pretrained import wanted
from backstay.train.texts import TextSettings, tokenizer_of

_MOST_LEVELS = 2000
_LEAST_SPREAD = 1e-9
_ALONE = {ColumnKind.IMAGE: "an image", ColumnKind.TEXT: "a text", ColumnKind.VECTOR: "a vector"}


@dataclass(frozen=True)
class Profile:
    """What preprocessing learned from the training rows.

    Args:
        image: name of the image column; then `shape` is its (H, W, C), means and deviations are a channel each.
        numbers, categories: names of the columns of a table; means and deviations are a number each.
        levels: the known values of each category, in the order of their codes (which begin at 2).
        vector: name of the vector column; then `shape` is its (length,), means and deviations are a place each.
        text: name of the text column; then `tokenizer` is its tokenizer.json, and `cut` how many training texts are
            longer than it keeps.
        source: folder at which a pre-trained encoder's path begins; `weights` is the SHA-256 of what is there.
        drawn: the pre-trained encoder's weights are drawn instead of read, for the control.
    """

    image: str | None
    shape: tuple[int, ...]
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    levels: dict[str, tuple[str, ...]]
    vector: str | None = None
    text: str | None = None
    tokenizer: str = ""
    cut: int = 0
    source: str = ""
    weights: str = ""
    drawn: bool = False

    @property
    def kind(self) -> str:
        """Of rows: "image", "text", "vector" or "table"."""
        if self.text:
            return "text"
        if self.vector:
            return "vector"
        return "image" if self.image else "table"

    @property
    def padding(self) -> int:
        """The code that fills up short texts."""
        return int(json.loads(self.tokenizer)["padding"]["pad_id"])

    @property
    def encoder(self) -> str:
        """What `encoder = "auto"` means for these columns."""
        if self.text:
            return "text"
        if self.vector:
            return "vectors"
        return "conv" if self.image else "mlp"


def profile_of(
    table: pa.Table,
    schema: Schema,
    train: npt.NDArray[np.int64],
    options: Options | None = None,
    root: Path = Path(),
) -> Profile:
    """Learn the preprocessing from the training rows alone; of the encoder's options those of texts are read.

    Args:
        root: where the path of a pre-trained encoder begins.
    """
    features = [schema.column(name) for name in schema.features]
    if not features:
        raise BackstayError("there are no feature columns", fix="name some with data.features")
    rows = table.take(pa.array(train))
    alone = _alone(features)
    if alone is not None and alone.kind is ColumnKind.TEXT:
        said = [text_of(v) for v in rows.column(alone.name).to_pylist()]
        given = None if options is None else wanted(options, root)
        if given is not None:
            content = given.tokenizer()
            cut = Tokens(content.encode()).cut(said)
            plain = Profile(None, (), (), (), (), (), {}, text=alone.name, tokenizer=content, cut=cut)
            return replace(plain, source=str(root), weights=given.digest)
        content, cut = tokenizer_of(said, TextSettings.of(options))
        return Profile(None, (), (), (), (), (), {}, text=alone.name, tokenizer=content, cut=cut)
    if alone is not None and alone.kind is ColumnKind.VECTOR:
        wide = vector_values(rows.column(alone.name), alone.name, alone.shape[0]).astype(np.float64)
        centre, spread = wide.mean(axis=0), wide.std(axis=0)
        spread = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        return Profile(None, alone.shape, (), (), _floats(centre), _floats(spread), {}, vector=alone.name)
    images = [c for c in features if c.kind is ColumnKind.IMAGE]
    if images:
        pixels = image_pixels(rows.column(images[0].name), images[0].name, images[0].shape) / np.float32(255)
        means, deviations = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
        return Profile(
            images[0].name, images[0].shape, (), (), _floats(means), _floats(np.maximum(deviations, 0.05)), {}
        )
    unusable = [c for c in features if c.kind is ColumnKind.TIME]
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
    """The encoder's inputs for these rows: pixels, codes of texts, or vectors; or numbers and codes, whichever there
    are."""
    if profile.text:
        said = [text_of(v) for v in table.column(profile.text).to_pylist()]
        return (torch.from_numpy(Tokens(profile.tokenizer.encode()).codes(said)),)
    if profile.vector:
        wide = vector_values(table.column(profile.vector), profile.vector, profile.shape[0])
        means, deviations = np.array(profile.means, np.float32), np.array(profile.deviations, np.float32)
        return (torch.from_numpy((wide - means) / deviations),)
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


def _alone(features: list[Column]) -> Column | None:
    """The one feature that is learned from by itself. Raises BackstayError where it has company."""
    found = next((c for c in features if c.kind in _ALONE), None)
    if found is not None and len(features) > 1:
        raise BackstayError(
            f"{_ALONE[found.kind]} column ({found.name!r}) beside {len(features) - 1} other features",
            fix=f"train on it alone or on the other columns: name them with data.features, "
            f"for example data.features = [{found.name!r}]",
        )
    return found


def class_codes(column: pa.ChunkedArray, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Targets as positions in `classes`; -1 where missing or none of them."""
    places = {name: i for i, name in enumerate(classes)}
    return np.array([places.get(_target(v), -1) for v in column.to_pylist()], dtype=np.int64)


def _target(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text_of(value)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    # A whole number beyond 2**53 is the nearest double.
    whole = table.column(name).cast(pa.float64(), safe=False)
    values: npt.NDArray[np.float64] = np.asarray(whole.to_numpy(), dtype=np.float64)
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
