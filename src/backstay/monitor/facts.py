"""What the condition of a window is judged by, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backstay.kernel.records import Estimate, Signal
from backstay.monitor.conviction import CONVICTS, FEWEST, may_convict
from backstay.monitor.detectors import CONFIDENT, LABELLED, OF_LABELS
from backstay.monitor.detectors.confident_errors import DOUBTED
from backstay.monitor.late_rows import Untold
from backstay.monitor.newest import ENOUGH
from backstay.monitor.reference import KnownAccuracy

# Labels of the standing sample that are enough to speak without an estimate from the scores.
ADEQUATE = ENOUGH


@dataclass(frozen=True, slots=True)
class Facts:
    """What the condition is judged by.

    Args:
        tolerance: how much worse than the reference nobody minds.
        labels_wanted: labels to ask for when some are needed.
        halfwidth: half the interval that these would give.
        drawn: what labels drawn by doubt say of the newest window that has some.
        untold: logged rows that no window judges, to be told now.
        absent: detectors that could not be fitted, with the reason.
        unasked: logged rows that can still be drawn at random for a label; None where nobody counted.
        waiting: rows that were drawn for an estimate and wait for their label.
        primary: what labels say of the figure that the project goes by, where that is not accuracy.
        known_primary: that figure on the reference.
        stood: an alarm on confident errors that called the model worse at an earlier look.
        answered: False where only inputs are known, so that there is no accuracy to speak of.
    """

    signals: tuple[Signal, ...]
    label_free: Estimate
    labelled: Estimate | None
    known: KnownAccuracy | None
    tolerance: float
    labels_wanted: int
    halfwidth: float
    label_age_days: float | None
    untold: Untold
    absent: Mapping[str, str]
    answered: bool = True
    drawn: Estimate | None = None
    unasked: int | None = None
    waiting: int = 0
    primary: Estimate | None = None
    known_primary: Estimate | None = None
    stood: bool = False

    @property
    def drifted(self) -> tuple[Signal, ...]:
        return tuple(signal for signal in self.signals if signal.alarm and signal.detector not in OF_LABELS)

    @property
    def convicted(self) -> Signal | None:
        """The alarm on labelled errors, if it stands, or that on confident ones where accuracy fell as well.

        Once it has, it convicts for as long as the alarm stands: accuracy by a few labels goes up and down.
        """
        return self._alarm(LABELLED) or (self.surprised if self.labels_fell or self.stood else None)

    @property
    def lingers(self) -> bool:
        """Only that an earlier look called the model worse, and that nothing has ended it, still does."""
        return self._alarm(LABELLED) is None and self.stood and not self.labels_fell and not self.labels_say_worse

    @property
    def eased(self) -> bool:
        """An alarm on labelled errors stands, and the newest labels, which need not be those that raised it, show no
        fall."""
        newest = self.labelled is not None and self.labelled.labels >= FEWEST
        return self._alarm(LABELLED) is not None and newest and not self.labels_fell and not self.labels_say_worse

    @property
    def surprised(self) -> Signal | None:
        """The alarm of the detector on confident errors, if it stands: what is right has changed."""
        return self._alarm(CONFIDENT)

    @property
    def labels_fell(self) -> bool:
        """The accuracy by labels lies below the reference's, with the tolerance between them."""
        said = (e.value for e in (self.labelled, self.drawn) if e is not None and e.labels >= FEWEST)
        known = self.known
        return known is not None and any(v is not None and v < known.value - self.tolerance for v in said)

    @property
    def labels_say_worse(self) -> bool:
        """The limit that labels may convict by lies below the reference's interval, with the tolerance between them."""
        if self.known is None:
            return False
        accepted = self.known.bounds.low - self.tolerance
        said = (e for e in (self.labelled, self.drawn) if e is not None and may_convict(e))
        return any(float(e.figures.get(CONVICTS, 1.0)) < accepted for e in said)

    @property
    def labels_doubt(self) -> bool:
        """The 95% interval of some labels lies there: too little for an alarm when somebody looks each week.

        Or mistakes where the model was sure are as rare by chance, or raise an alarm while accuracy has not fallen.
        """
        return self.labels_below or self.surprised is not None or self.suspected is not None

    @property
    def labels_below(self) -> bool:
        """The 95% interval of some labels lies below the reference's, with the tolerance between them."""
        said = (self.labelled, self.drawn)
        return any(e is not None and e.labels >= FEWEST and self._below(e) for e in said)

    @property
    def estimate_says_worse(self) -> bool:
        return self._below(self.label_free)

    @property
    def enough_labels(self) -> bool:
        answered = self.drawn is not None and self.drawn.value is not None
        return answered or (self.labelled is not None and self.labelled.labels >= ADEQUATE)

    @property
    def blind(self) -> bool:
        """No detector could judge the window, and labels do not speak for it either."""
        return not self.compared and not self.enough_labels

    @property
    def compared(self) -> bool:
        """Some detector compared the traffic with the reference."""
        return any(signal.figures.get("judged", True) for signal in self.signals if signal.detector not in OF_LABELS)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Detectors that could not compare this window with anything; labels that have not come yet are no such."""
        signals = (signal for signal in self.signals if signal.detector not in OF_LABELS)
        return tuple(signal.detector for signal in signals if not signal.figures.get("judged", True))

    @property
    def suspected(self) -> Signal | None:
        """Mistakes where the model was sure that are rare by chance, and no alarm yet."""
        signal = next((signal for signal in self.signals if signal.detector == CONFIDENT), None)
        if signal is None or not signal.figures.get("beyond_tolerance"):
            return None
        return signal if float(signal.figures.get("p_value", 1.0)) <= DOUBTED else None

    def _alarm(self, name: str) -> Signal | None:
        return next((signal for signal in self.signals if signal.alarm and signal.detector == name), None)

    def _below(self, estimate: Estimate) -> bool:
        if self.known is None or estimate.interval is None:
            return False
        return estimate.interval.high < self.known.bounds.low - self.tolerance
