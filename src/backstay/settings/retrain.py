"""[retrain]: when a new model pays."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from backstay.settings.section import Section


class RetrainSettings(Section):
    """What an error costs, what retraining costs, and whether the loop may promote by itself."""

    trigger: Literal["value", "threshold", "shift", "calendar"] = "value"
    """What asks for a new model: "value", if what it saves provably exceeds what it costs; "threshold", if accuracy is
    provably below `minimum_accuracy` (both: as far as labels show that it is no luck of the looks); "shift", while a
    detector of inputs or predictions is over its threshold; "calendar", every `every_days`. Cool-down, `most_per_year`
    and `labels` hold for all."""
    minimum_accuracy: float | None = Field(None, gt=0, lt=1)
    """For trigger = "threshold"."""
    every_days: float | None = Field(None, gt=0)
    """For trigger = "calendar": days after which the live model is replaced."""
    most_per_year: int | None = Field(None, ge=0)
    """Most challengers that `watch --act` trains in 365 days; no bound when absent."""
    shadow: bool = False
    """Whether a cheap challenger (a linear model on the live model's embeddings, or on its inputs, cross-fitted on the
    labels for training) says what retraining would gain, instead of the accuracy on the reference."""
    value_per_error: float = Field(1.0, ge=0)
    """Cost of one wrong answer, in your currency, as all costs here."""
    predictions_per_day: float | None = None
    """Rows answered a day; counted over the last four windows when absent."""
    horizon_days: float = Field(90.0, gt=0)
    """How long a retrained model is expected to be of use."""
    cost_training: float = Field(50.0, ge=0)
    """Cost of training once."""
    cost_per_label: float = Field(0.5, ge=0)
    """Cost of one label."""
    cost_risk: float = Field(50.0, ge=0)
    """What replacing a live model costs in care and risk."""
    labels: int = Field(500, ge=1)
    """New labels to have for training and gate before retraining."""
    cool_down_days: float = Field(7.0, ge=0)
    """`watch --act` trains no challenger so soon after a promotion, or after the challenger before."""
    auto_promote: bool = False
    """Whether `watch --act` may promote what passed the gate."""
    from_log: bool = True
    """Whether challengers learn from logged rows; false: they are made elsewhere, and judged on reference rows."""
    replay: float = Field(1.0, gt=0, le=1)
    """Share of the old rows (those that the live model learned from) that a challenger learns from again beside the new
    ones, drawn by a hash of their group, id or place. Fewer make `train.start_from = "champion"` quick; the report
    tells what it has forgotten."""

    @model_validator(mode="after")
    def _trigger_has_its_figure(self) -> RetrainSettings:
        if self.trigger == "threshold" and self.minimum_accuracy is None:
            raise ValueError('trigger = "threshold" needs minimum_accuracy')
        if self.trigger == "calendar" and self.every_days is None:
            raise ValueError('trigger = "calendar" needs every_days')
        return self
