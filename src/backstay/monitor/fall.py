"""Is the fall real? What has to be shown, beside the value, before a model is replaced.

A 90% bound looked at every week finds in most years that a stream which does not change would pay for a new model. So
its answer counts only with one of two proofs, whose chances of erring add up to one year in twenty (for 19 references
of 20, and over all of them to far less: docs/statistics/retraining.md):

- the labels of the standing sample: bets against "the error is at most that of the reference" (its 95% upper bound)
  or the floor that the team has set, begun at every look with a small part of the stake, and with a large one at the
  look after an alarm: labels that follow an alarm need not be as many. Old labels still count, and labels that are
  right again take the evidence back. Labels of one group (a customer, a scan) are one witness, with their mean error;
- the bound itself, at the level of one look of a year's: all that there is without labels of the standing sample.

A fall that is plain is shown by some dozens of labels; its worth need then be known at 90% only
(docs/statistics/retraining.md). Wrong when good and bad weeks come and go around the reference's mean: a bad month is
then a fall, while it lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scipy.special import ndtri

from backstay.kernel.records import WindowResult
from backstay.maths.betting import null_error
from backstay.maths.detector import weighted_starts

# The chance that a year of looks at a stream that does not change finds a fall, in its two parts.
BY_LABELS, BY_BOUND = 0.04, 0.01
# References whose luck is so bad that this does not hold for them.
UNLUCKY = 0.05
# Of the labels' stake: what is spread over the looks of a year; half of the rest is laid after each new alarm, and
# alarms of former releases within a year have taken their halves: many releases a year share one stake.
SPREAD = 0.5
ONE_LOOK = 0.10
DAYS_A_YEAR = 365
SHORTEST_DAYS = 1e-3


@dataclass(frozen=True, slots=True)
class Fall:
    """What is known of a fall, whatever it costs.

    Args:
        evidence: of the labels, as a multiple of what is asked: shown at 1 or more; None without labels or reference.
        accepted: the error rate that it is held against.
        labels: how many of the standing sample have spoken.
        strict: how many times as wide as for one look at 90% a bound must be that shows it alone.
    """

    evidence: float | None
    accepted: float | None
    labels: int
    strict: float

    @property
    def by_labels(self) -> bool:
        return self.evidence is not None and self.evidence >= 1.0

    def told(self) -> str:
        """Why what seems to pay is not acted on yet."""
        asked = f"a bound {self.strict:.1f} times as wide does not show it"
        if self.evidence is None:
            return f"{asked}; label some rows of the standing sample"
        return f"{self.labels} labels show {self.evidence:.0%} of the evidence that is asked against luck, and {asked}"


def fall_of(
    results: Sequence[WindowResult], floor: float | None = None, *, former: Sequence[WindowResult] = ()
) -> Fall:
    """What the windows of one release show of a fall below its reference; or below the accuracy `floor`.

    Args:
        former: windows of releases before it, whose alarms have spent of the same year's stake.
    """
    ordered = sorted(results, key=lambda result: result.end)
    newest = _part_of_year(ordered[-1]) if ordered else 1.0
    strict = float(ndtri(1.0 - min(BY_BOUND * newest, ONE_LOOK)) / ndtri(1.0 - ONE_LOOK))
    accepted = _reference_error(ordered) if floor is None else 1.0 - floor
    labels = sum(map(_labels, ordered))
    if labels == 0 or accepted is None:
        return Fall(None, accepted, labels, strict)
    looks = zip(ordered, _stakes(ordered, _alarmed(former, ordered[0].start)), strict=True)
    spoken = [(*_witnesses(result), stake) for result, stake in looks if _labels(result)]
    steps, stakes = [(errors, n) for errors, n, _ in spoken], [stake for *_, stake in spoken]
    return Fall(weighted_starts(steps, stakes, accepted) * BY_LABELS, accepted, labels, strict)


def _stakes(ordered: Sequence[WindowResult], alarmed_before: int) -> list[float]:
    """What is begun with at each look: known before its labels, and together at most 1 a year. Windows are of any
    length (by count, by session, closed early), so each has its own part of the year."""
    left, waiting, stakes = (1.0 - SPREAD) / 2.0**alarmed_before, 0.0, []
    for result in ordered:
        counts = _labels(result) > 0
        stakes.append(SPREAD * _part_of_year(result) + (waiting if counts else 0.0))
        waiting = 0.0 if counts else waiting
        if result.new_alarms:
            waiting, left = waiting + left / 2, left / 2
    return stakes


def _alarmed(former: Sequence[WindowResult], begin: datetime) -> int:
    """Looks of former releases that raised an alarm within the year before."""
    since = begin - timedelta(days=DAYS_A_YEAR)
    return sum(bool(result.new_alarms) for result in former if since < result.end <= begin)


def _part_of_year(result: WindowResult) -> float:
    """The length of a window in years, at most one."""
    days = (result.end - result.start).total_seconds() / 86_400
    return min(max(days, SHORTEST_DAYS) / DAYS_A_YEAR, 1.0)


def _labels(result: WindowResult) -> int:
    """Labels of the standing sample that this look was the first to count."""
    return sum(int(part["labels"]) for part in result.figures.get("labels_counted", []))


def _witnesses(result: WindowResult) -> tuple[float, int]:
    """Errors of these labels, and how many witnesses these are: a group is one, whose error is the mean of its own."""
    errors, witnesses = 0.0, 0
    for part in result.figures.get("labels_counted", []):
        of = part.get("by_group", part)
        errors, witnesses = errors + of["labels"] - of["right"], witnesses + of["labels"]
    return max(errors, 0.0), witnesses


def _reference_error(ordered: Sequence[WindowResult]) -> float | None:
    """The upper bound of the reference's error; None where its accuracy is not known."""
    told = (result.figures.get("reference_accuracy") for result in reversed(ordered))
    known = next((figures for figures in told if figures is not None), None)
    if known is None:
        return None
    n = float(known.get("n_effective", known["n"]))
    return null_error((1.0 - float(known["value"])) * n, n, UNLUCKY)
