"""One number, the false alarms a year that a user accepts, shared out over everything that can raise one.

A window test spends its alpha each window; an e-detector at threshold A at most 1/A each step; what is spent
adds up whatever the dependence, since expectations do. An alarm *episode* opens at a detector's first alarm and
closes after some quiet windows or at a release: signals inside it are not new alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backstay.kernel.errors import BackstayError, nearest


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """`per_year` expected false alarms, shared in proportion to `weights` by detector name.

    >>> budget = AlarmBudget(1.0, {"embedding": 2.0, "error": 2.0})
    >>> round(budget.window_alpha("embedding", 52), 5), budget.detector_threshold("error", 104)
    (0.00962, 208.0)
    """

    per_year: float
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.per_year > 0.0:
            raise BackstayError(f"a budget of {self.per_year!r} false alarms a year", fix="give a number above 0")
        if not self.weights or any(not weight > 0.0 for weight in self.weights.values()):
            raise BackstayError(f"budget weights {dict(self.weights)!r}", fix="give each detector a weight above 0")

    def share(self, name: str) -> float:
        """False alarms a year that detector `name` may raise."""
        if name not in self.weights:
            raise BackstayError(f"no detector {name!r} in the alarm budget", fix=nearest(name, self.weights))
        return self.per_year * self.weights[name] / sum(self.weights.values())

    def window_alpha(self, name: str, windows_per_year: float) -> float:
        """Level of a window test that looks `windows_per_year` times a year; at most .25."""
        return min(self.share(name) / _positive(windows_per_year, "windows a year"), 0.25)

    def detector_threshold(self, name: str, steps_per_year: float) -> float:
        """Threshold A of an e-detector that takes `steps_per_year` steps a year; at least 1."""
        return max(_positive(steps_per_year, "steps a year") / self.share(name), 1.0)

    def family(self, name: str, members: int) -> AlarmBudget:
        """The share of `name` split evenly (Bonferroni) over `members` tests, named "0", "1", ..."""
        return AlarmBudget(self.share(name), {str(i): 1.0 for i in range(int(_positive(members, "members")))})

    @staticmethod
    def spent(
        windows: Mapping[str, tuple[float, float]] | None = None, steps: Mapping[str, tuple[float, float]] | None = None
    ) -> float:
        """Expected false alarms a year: windows x alpha over window tests, steps / A over e-detectors.

        Args: `windows` holds (windows a year, alpha) by name, `steps` (steps a year, A) by name.
        """
        of_windows = sum(count * alpha for count, alpha in (windows or {}).values())
        return of_windows + sum(count / threshold for count, threshold in (steps or {}).values())


@dataclass(frozen=True, slots=True)
class Episodes:
    """Alarm episodes of one detector: counts openings, not signals. Closes after `quiet` windows without one.

    >>> state = Episodes(quiet=2)
    >>> opened = []
    >>> for alarm in (True, True, False, True, False, False, True):
    ...     state, new = state.look(alarm)
    ...     opened.append(new)
    >>> opened
    [True, False, False, False, False, False, True]
    """

    quiet: int = 2
    open: bool = False
    silent: int = 0
    count: int = 0

    def look(self, alarm: bool) -> tuple[Episodes, bool]:
        """The state after one window, and whether an episode opened in it."""
        if alarm:
            return replace(self, open=True, silent=0, count=self.count + (not self.open)), not self.open
        silent = self.silent + 1 if self.open else 0
        return replace(self, open=self.open and silent < self.quiet, silent=silent), False

    def release(self) -> Episodes:
        """The state after a new release: whatever was open is closed."""
        return replace(self, open=False, silent=0)

    def to_json(self) -> dict[str, Any]:
        return {"quiet": self.quiet, "open": self.open, "silent": self.silent, "count": self.count}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Episodes:
        return Episodes(int(state["quiet"]), bool(state["open"]), int(state["silent"]), int(state["count"]))


def _positive(value: float, what: str) -> float:
    if not value > 0:
        raise BackstayError(f"{value!r} {what}", fix="give a number above 0")
    return value
