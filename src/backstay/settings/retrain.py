"""[retrain]: when a new model pays."""

from __future__ import annotations

from pydantic import Field

from backstay.settings.section import Section


class RetrainSettings(Section):
    """What an error costs, what retraining costs, and whether the loop may promote by itself."""

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
    """No retraining so soon after a promotion."""
    auto_promote: bool = False
    """Whether `watch --act` may promote what passed the gate."""
    from_log: bool = True
    """Whether challengers learn from logged rows; false: they are made elsewhere, and judged on reference rows."""
