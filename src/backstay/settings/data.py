"""[data] and [predictions]: where rows are and what their columns mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from backstay.settings.section import Section

Side = Annotated[int, Field(ge=2, le=4096)]
"""Pixels."""
Kind = Literal["number", "integer", "category", "text", "boolean", "time", "image", "vector"]


class SplitSettings(Section):
    """How rows are dealt to training, tuning (early stopping, calibration) and the gate.

    By hash, so that appending rows moves none of the others.
    """

    train: float = Field(0.6, gt=0, lt=1)
    """Share of rows that models learn from."""
    tune: float = Field(0.15, gt=0, lt=1)
    """Share for early stopping and calibration."""
    gate: float = Field(0.25, gt=0, lt=1)
    """Share that judges, and that nothing learns from."""
    by: Literal["hash", "time"] = "hash"
    """Deal by "hash" of the group, the id or else the row's content, or by "time": the newest rows to the gate."""

    @model_validator(mode="after")
    def _whole(self) -> SplitSettings:
        if abs(self.train + self.tune + self.gate - 1) > 1e-9:
            raise ValueError("train, tune and gate must add up to 1")
        return self


class DataSettings(Section):
    """Where the rows are and what their columns mean."""

    source: str | None = None
    """File or folder of rows, relative to the project file."""
    unlabelled: str | None = None
    """File or folder of more rows, without labels, for objectives that learn without them and for the encoder
    "patches"; never measured on."""
    pairs: str | None = None
    """File of rows judged the same or different, to learn from as well: columns id_a, id_b (of `id`), verdict ("same"
    or "different") and source, which [labels] trusts or caps as for labels."""
    target: str | None = None
    """Column of true labels."""
    id: str | None = None
    """Column with a value of its own per row."""
    time: str | None = None
    """Column that says when the row happened."""
    group: str | None = None
    """Column of persons, machines or documents: rows of one group stay on one side of the gate."""
    time_zone: str | None = None
    """IANA name of the zone of times that carry none; without it such times are refused."""
    features: tuple[str, ...] | None = None
    """Columns that the model sees; all that have no other role when absent."""
    ignore: tuple[str, ...] = ()
    """Columns to leave out."""
    slices: tuple[str, ...] = ()
    """Columns by whose values results are measured on their own."""
    image_size: tuple[Side, Side] | None = None
    """[height, width] that pictures of folders are brought to: each is scaled to fit, and what it does not fill is
    white. Without it all need one size."""
    columns: dict[str, Kind] = Field({})
    """How a column is read, by column name."""
    split: SplitSettings = SplitSettings()
    """How rows are dealt."""


class PredictionSettings(Section):
    """Column names in files of predictions that another system made."""

    id: str = "id"
    """Column of prediction ids."""
    time: str | None = None
    """Column of times; the time of logging when absent."""
    prediction: str = "prediction"
    """Column of predicted labels."""
    score: str | None = None
    """Column of one class's probability."""
    positive: str | None = None
    """The class that `score` is the probability of; of two classes the second when absent."""
    scores: dict[str, str] = Field({})
    """Column of the probability of each class, by class; instead of `score`."""
    embedding: str | None = None
    """Column of embeddings, a list of numbers a row."""
    latency: str | None = None
    """Column of how many milliseconds each answer took, for the detector "service"; empty where nobody knows. A
    reference needs none."""
    group: str | None = None
    """Column that names whose rows belong together."""
