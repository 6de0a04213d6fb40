"""What happened to a model, in time: estimates, evidence and marks, ready to be drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from backstay.kernel.records import LedgerRow, Release, WindowResult
from backstay.render.prose import day, known, short, utc

REFUSED = "refused"
DRAWN = "stratified"


@dataclass(frozen=True, slots=True)
class Window:
    """One window of traffic on the time axis."""

    start: datetime
    end: datetime
    label: str

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2


@dataclass(frozen=True, slots=True)
class EstimatePoint:
    """An estimate of one window, `kind` "label-free", "ppi", "labels", or "refused" (then there is no value)."""

    at: datetime
    kind: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class EvidenceSeries:
    """A detector's evidence as a multiple of its threshold; None where it did not judge."""

    detector: str
    points: tuple[tuple[datetime, float | None], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: `kind` is adopted, promoted, rollback, refused, alarm or labels."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that one figure shows. `truth` is empty outside the demo: nobody else knows it."""

    windows: tuple[Window, ...] = ()
    estimates: tuple[EstimatePoint, ...] = ()
    truth: tuple[tuple[datetime, float], ...] = ()
    evidence: tuple[EvidenceSeries, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.windows or self.marks)


REFUSALS = {"promotion_refused": "promotion", "rollback_refused": "rollback", "adoption_refused": "adoption"}


def build_timeline(
    results: Sequence[WindowResult],
    releases: Sequence[Release] = (),
    ledger_rows: Sequence[LedgerRow] = (),
    truth: Mapping[str, float] | None = None,
    names: Mapping[str, str] | None = None,
) -> Timeline:
    """Arrange what is known by time.

    Args:
        results: windows as watched, in any order.
        releases: what was made live.
        ledger_rows: rows of the ledger; refusals and labels become marks, other kinds are left out.
        truth: true accuracy by window id, where a demo knows it.
        names: friendlier names for model ids.
    """
    ordered = sorted(results, key=lambda result: (utc(result.start), utc(result.end)))
    windows = tuple(Window(utc(r.start), utc(r.end), day(r.start)) for r in ordered)
    known_truth = truth or {}
    return Timeline(
        windows=windows,
        estimates=tuple(point for r, w in zip(ordered, windows, strict=True) for point in _estimates(r, w)),
        truth=tuple(
            (w.middle, known_truth[r.id]) for r, w in zip(ordered, windows, strict=True) if known(known_truth.get(r.id))
        ),
        evidence=_evidence(ordered, windows),
        marks=_marks(ordered, releases, ledger_rows, names or {}),
    )


def _estimates(result: WindowResult, window: Window) -> list[EstimatePoint]:
    found = []
    for estimate in result.estimates:
        if estimate.metric != "accuracy":
            continue
        at = window.middle
        if estimate.kind == DRAWN:
            if not known(estimate.value):
                continue  # it waits for answers
            start, end = (datetime.fromisoformat(estimate.figures[name]) for name in ("from", "to"))
            at = start + (end - start) / 2
        if not known(estimate.value):
            found.append(EstimatePoint(window.middle, REFUSED))
            continue
        low, high = (estimate.interval.low, estimate.interval.high) if estimate.interval else (None, None)
        found.append(EstimatePoint(at, estimate.kind, estimate.value, low, high))
    return found


def _evidence(results: Sequence[WindowResult], windows: Sequence[Window]) -> tuple[EvidenceSeries, ...]:
    names = sorted({signal.detector for result in results for signal in result.signals})
    series = []
    for name in names:
        points: list[tuple[datetime, float | None]] = []
        for result, window in zip(results, windows, strict=True):
            signal = next((s for s in result.signals if s.detector == name), None)
            judged = signal is not None and signal.figures.get("judged", True) and not math.isnan(signal.evidence)
            points.append((window.middle, signal.evidence if signal is not None and judged else None))
        if any(value is not None for _, value in points):
            series.append(EvidenceSeries(name, tuple(points)))
    return tuple(series)


def _marks(
    results: Sequence[WindowResult],
    releases: Sequence[Release],
    ledger_rows: Sequence[LedgerRow],
    names: Mapping[str, str],
) -> tuple[Mark, ...]:
    marks = [
        Mark(
            utc(r.created_at),
            r.kind.value,
            f"release {r.sequence}: {names.get(r.model_id) or short(r.model_id)}" + _because(r.reason),
        )
        for r in releases
    ]
    marks += [Mark(utc(r.end), "alarm", _alarms(r)) for r in results if r.new_alarms]
    for row in ledger_rows:
        mark = _of_row(row, names)
        if mark is not None:
            marks.append(mark)
    return tuple(sorted(marks, key=lambda mark: (mark.at, mark.kind, mark.text)))


def _of_row(row: LedgerRow, names: Mapping[str, str]) -> Mark | None:
    body = row.body
    if row.kind in REFUSALS:
        return Mark(utc(row.at), "refused", REFUSALS[row.kind] + _because(reason_of(row)))
    if row.kind == "verdict" and body.get("passed") is False:
        candidate = _text(body, "candidate")
        return Mark(utc(row.at), "refused", (names.get(candidate) or short(candidate)) + _because(reason_of(row)))
    if row.kind == "labels":
        count = next((body[k] for k in ("labels", "count", "rows", "added") if isinstance(body.get(k), int)), None)
        return Mark(utc(row.at), "labels", "labels arrived" if count is None else f"{count} labels arrived")
    return None


def reason_of(row: LedgerRow) -> str:
    """Why a ledger row says that something was refused; "" when it does not say."""
    for key in ("why", "reasons", "reason", "message"):
        value = row.body.get(key)
        if isinstance(value, (list, tuple)) and value:
            return "; ".join(str(part) for part in value)
        if isinstance(value, str) and value:
            return value
    return ""


def _alarms(result: WindowResult) -> str:
    said = {signal.detector: signal.message for signal in result.signals}
    return "; ".join(name.replace("_", " ") + _because(said.get(name, "")) for name in result.new_alarms)


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
