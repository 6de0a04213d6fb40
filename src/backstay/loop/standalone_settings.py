"""The settings that a look without a project has: those of a project, from the arguments that were given."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.loop.seen import NAME, PLACE
from backstay.settings import Settings, parse

# A window of rows without times counts as a week.
DEFAULT_DAYS = 7.0


def settings_of(
    per_year: float, days: float | None, season: str, metrics: Sequence[str], detectors: Sequence[str] | None
) -> Settings:
    """The settings of a project that would look so."""
    chosen = {} if detectors is None else {"detectors": list(detectors)}
    return parse(
        {
            "version": 1,
            "name": NAME,
            "environment": PLACE,
            "budget": {"false_alarms_per_year": per_year},
            "watch": {"window_days": days or DEFAULT_DAYS, "season": season, **chosen},
            # Estimated is what some rule of the gate reads; here is no gate.
            "gate": {"rules": [{"rule": "at_least", "metric": name, "value": 0.0} for name in metrics]},
        }
    )


def is_alpha(value: object) -> bool:
    """Whether this is a chance of a false alarm that a window can spend."""
    return isinstance(value, (int, float)) and 1e-9 <= value <= 0.25


def spending(settings: Settings, alpha: float, days: float) -> Settings:
    """The same settings with the yearly budget that makes a window of this length spend `alpha`."""
    budget = settings.budget.model_copy(update={"false_alarms_per_year": alpha * 365.0 / days})
    return settings.model_copy(update={"budget": budget})
