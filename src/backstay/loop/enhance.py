"""An image for an image: what the live model makes of damaged or noisy ones, and how a candidate is measured at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model
from backstay.data.images import image_array, pixels_of, read_image, write_image
from backstay.data.write import write_table
from backstay.evaluate.enhancement import NOISE, measured_enhancement
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.records import Comparison, Measurement
from backstay.loop.examples import bring, groups_of
from backstay.loop.gate_case import GateRows
from backstay.loop.workspace import Workspace

SINGLE = (".png", ".jpg", ".jpeg")
HIDDEN = 0.3


@dataclass(frozen=True)
class Enhanced:
    """The answer. `table` has the rows with the image column enhanced; it is not part of the JSON."""

    rows: int
    release: str
    output: str | None
    table: pa.Table = field(repr=False, compare=False, default=None)


def enhance(ws: Workspace, source: Any, *, output: Path | None = None) -> Enhanced:
    """Answer every image of a file or frame with the image as the live model rebuilds it. Nothing is logged.

    Args:
        source: one .png or .jpg, or rows with the model's image column.
        output: .png for one image; .parquet, .arrow or .feather for rows.

    Raises:
        BackstayError: the live model answers no images, or the images are of another size.
    """
    release = ws.champion()
    model = ws.load_model(ws.model_record(release.model_id))
    if model.enhancer is None:
        raise BackstayError(
            f"the live model {model.id} answers no images", fix="train one with train.enhance = true and promote it"
        )
    name = model.manifest.columns[0]
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in SINGLE:
        if not Path(source).exists():
            raise NotFound(f"there is no file {source}", fix="check the path and the folder that it is relative to")
        channels = model.manifest.inputs[0].column_shape[-1]
        table = pa.table({name: image_array(read_image(Path(source), channels)[None])})
    else:
        table = bring(ws, source)
    if name not in table.column_names or not isinstance(table.schema.field(name).type, pa.FixedShapeTensorType):
        raise BackstayError(f"the rows have no images in a column {name!r}", fix="name the column as the model does")
    images = model.enhancer.run(pixels_of(table.column(name)))
    answered = table.set_column(table.column_names.index(name), name, image_array(images))
    if output is not None:
        _write(answered, images, Path(output))
    return Enhanced(table.num_rows, release.id, None if output is None else str(output), answered)


def enhancement(model: Model, rows: GateRows) -> tuple[tuple[Measurement, ...], tuple[Comparison, ...]]:
    """PSNR on gate rows that are damaged as in training, beside the damaged images themselves."""
    if model.enhancer is None:
        return (), ()
    recipe = model.manifest.recipe
    told = recipe.get("objective_options", {}).get("hidden", HIDDEN) if recipe.get("objective") == "denoising" else 0.0
    return measured_enhancement(
        model.enhancer.run,
        pixels_of(rows.table.column(model.manifest.columns[0])),
        hidden=float(told),
        noise=NOISE * float(recipe.get("augmentation", 1.0)),
        groups=groups_of(rows.table, rows.schema),
        data_id=rows.data_id,
    )


def _write(table: pa.Table, images: npt.NDArray[np.uint8], path: Path) -> None:
    if path.suffix.lower() != ".png":
        write_table(table, path)
    elif len(images) == 1:
        write_image(images[0], path)
    else:
        raise BackstayError(f"{len(images)} images do not go into one .png", fix="end the output in .parquet")
