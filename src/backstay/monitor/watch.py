"""One look at one window: every detector inside the budget, the estimates, and what to tell people."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from backstay.kernel.clock import Clock, utc
from backstay.kernel.errors import BackstayError, Conflict
from backstay.kernel.ids import content_id, digest
from backstay.kernel.records import Estimate, Json, Signal, WindowResult
from backstay.maths.budget import Episodes
from backstay.monitor.condition import summarise, within
from backstay.monitor.conviction import PART, alpha_of_look, may_convict
from backstay.monitor.detectors import CONFIDENT, LABELLED, OF_LABELS, Detector, Look
from backstay.monitor.detectors.verdict import not_judged
from backstay.monitor.drawn import from_draw
from backstay.monitor.error_model import ErrorModel
from backstay.monitor.estimate import (
    ChanceModel,
    chance_pool,
    from_labels,
    label_age_days,
    label_points,
    promised_halfwidth,
    stale,
)
from backstay.monitor.facts import Facts
from backstay.monitor.fitted import Detectors
from backstay.monitor.known_figures import on_reference
from backstay.monitor.label_counts import labels_by_window
from backstay.monitor.label_free import without_labels
from backstay.monitor.labelled_loss import mae_from_labels, remember_errors
from backstay.monitor.labelled_metrics import from_labels_by_metric, primary_of, remember_answers
from backstay.monitor.lacking import having, inputs_of, read_by, told
from backstay.monitor.locating import locate
from backstay.monitor.loss_estimates import mae_without_labels
from backstay.monitor.maturity import Maturity, dated, mature_windows, outlived, ripened
from backstay.monitor.memory import Memory
from backstay.monitor.metric_estimates import without_labels_by_metric
from backstay.monitor.searches import search_estimates
from backstay.monitor.sources import source_count
from backstay.monitor.traffic import SCORES, WindowData
from backstay.settings import Settings

# No window spends more than this, however long it is and however large the budget.
MOST_ALPHA = 0.05
# Kept beside the state of the detector on confident errors: its alarm has called the model worse.
CONVICTED = "convicted"
# Nor less, and be it a window of seconds that `--now` closed: thresholds are computed down to a tenth of this, and a
# detector splits it. A look a minute the whole year round spends 0.005 false alarms more than its share.
LEAST_ALPHA = 1e-8


def watch_window(
    memory: Memory, window: WindowData, detectors: Detectors, settings: Settings, clock: Clock
) -> tuple[WindowResult, Memory]:
    """Watch one window and answer what was found and what to remember.

    A pure function: the caller keeps both in one transaction, so that a crash repeats the look or keeps it, never
    half. The same memory and window give the same result (but for `created_at`), after any restart.

    Raises Conflict when the window begins before the last one ended: its rows have been counted.
    """
    if memory.last_end is not None and utc(window.start) < memory.last_end:
        raise Conflict(
            f"the window from {window.start} was watched already, up to {memory.last_end}",
            fix="read the result that is stored, or begin where the last window ended",
        )
    window, maturity = ripened(memory, window, settings.labels.maturity_days)
    signals, states = _signals(memory, window, detectors, settings)
    episodes, opened = _episodes(memory, signals, settings)
    alpha = alpha_of_look(detectors.budget(settings), LABELLED, window.days)
    memory, labelled, label_free, wanted, doubts = _estimates(
        memory, window, detectors, settings, signals, maturity, alpha
    )
    drawn = None if window.drawn is None else from_draw(window.drawn, alpha)
    mature = mature_windows(memory, maturity)
    by_labels = from_labels_by_metric(mature, detectors.reference, settings, labelled)
    described, scored = having(window, inputs_of(detectors)), having(window, (SCORES, *inputs_of(detectors)))
    free = without_labels_by_metric(detectors, scored, settings, label_free, {e.metric: e for e in by_labels})
    by_metric = tuple(sorted((*by_labels, *free), key=lambda e: (e.metric, e.kind == "label-free")))
    mean_error = dated(mae_from_labels(mature, detectors.reference.limit), maturity)
    free_error = mae_without_labels(detectors, described, settings, doubts, mean_error, wanted)
    by_metric = (*by_metric, *(e for e in (mean_error, free_error) if e is not None), *search_estimates(window))
    age = label_age_days(memory, utc(window.end))
    primary = primary_of(by_metric, settings)
    facts = Facts(
        signals=signals,
        label_free=label_free,
        labelled=labelled,
        known=detectors.reference.accuracy(),
        tolerance=settings.watch.tolerance,
        labels_wanted=wanted,
        halfwidth=promised_halfwidth(detectors.reference, wanted),
        label_age_days=age,
        untold=window.untold,
        absent=detectors.absent,
        answered=detectors.reference.answered,
        drawn=drawn,
        unasked=window.unasked,
        waiting=window.waiting,
        primary=primary,
        stood=bool(memory.detectors.get(CONFIDENT, {}).get(CONVICTED)),
        known_primary=None if primary is None else on_reference(primary.metric, detectors.reference),
    )
    if facts.surprised is not None and (facts.stood or facts.labels_fell):
        states[CONFIDENT] = {**states[CONFIDENT], CONVICTED: True}
    if facts.labels_doubt:
        # The month's share has given rise to the doubt: another month's share, at once, is what settles it.
        more = settings.budget.labels_per_month or 50
        facts = replace(facts, labels_wanted=more, halfwidth=promised_halfwidth(detectors.reference, more))
    by_interval = alpha * sum(may_convict(estimate) for estimate in (labelled, drawn))
    summary = summarise(facts)
    headline = summary.headline
    if detectors.reference.limit is not None:
        headline = f"{headline} {within(detectors.reference.limit)}"
    memory = replace(
        memory.with_told(window.untold),
        last_end=utc(window.end),
        rows=memory.rows + window.rows,
        windows=memory.windows + 1,
        spent=memory.spent + sum(signal.alpha for signal in signals) + by_interval,
        detectors=states,
        episodes=episodes,
        sources=memory.sources if window.groups is None else memory.sources.add(window.groups),
    )
    result = WindowResult(
        id=window_id(memory.release_id, window.start, window.end),
        model=settings.name,
        environment=settings.environment,
        release_id=memory.release_id,
        start=utc(window.start),
        end=utc(window.end),
        rows=window.rows,
        condition=summary.condition,
        signals=signals,
        estimates=tuple(e for e in (labelled, facts.drawn, label_free, *by_metric) if e is not None and facts.answered),
        headline=headline,
        advice=(*summary.advice, *maturity.advice(), *outlived(window, memory, maturity)),
        label_age_days=age,
        budget_spent=memory.spent,
        budget=settings.budget.false_alarms_per_year * _years_begun(memory, window),
        created_at=clock.now(),
        new_alarms=opened,
        labels_requested=summary.labels_wanted,
        figures={
            **_figures(facts, window),
            "alpha_by_interval": by_interval,
            **maturity.told(),
            "labels_counted": labels_by_window(window.labels, memory),
            "days_watched": (utc(window.end) - utc(memory.started)).total_seconds() / 86_400,
        },
        located=locate(signals, described, detectors, settings),
    )
    return result, memory


def window_id(release_id: str, start: datetime, end: datetime) -> str:
    """The name of the window of a release from one moment to another, before and after it is judged."""
    return content_id("window", digest([release_id, start.isoformat(), end.isoformat()]))


def _signals(
    memory: Memory, window: WindowData, detectors: Detectors, settings: Settings
) -> tuple[tuple[Signal, ...], dict[str, Json]]:
    budget = detectors.budget(settings)
    signals: list[Signal] = []
    states = dict(memory.detectors)
    source = source_count(memory.sources, window.groups)
    members, unlike = detectors.of_season(window, settings)
    for name, detector in members.items():
        if name in unlike:
            signals.append(not_judged(name, window, unlike[name]))
            continue
        if budget is None:
            break
        look = Look(
            alpha=max(min(budget.window_alpha(name, 365.0 / window.days), MOST_ALPHA), LEAST_ALPHA),
            per_year=budget.share(name) * (1.0 - PART if name == LABELLED else 1.0),
            years=memory.years(window.end),
            labels_per_year=12.0 * settings.budget.labels_per_month,
            tolerance=settings.watch.tolerance,
            source=source,
            season=settings.watch.season,
        )
        parts = read_by(name, detectors)
        kept = having(window, parts)
        signal, states[name] = _look(name, detector, states.get(name, {}), kept, look)
        signals.append(told(signal, window, kept, parts))
    return tuple(signals), states


def _look(name: str, detector: Detector, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
    """A detector that cannot read the window says so, and neither spends nor forgets anything."""
    try:
        return detector.look(state, window, look)
    except BackstayError as error:
        return not_judged(name, window, str(error)), state


def _episodes(
    memory: Memory, signals: tuple[Signal, ...], settings: Settings
) -> tuple[dict[str, Episodes], tuple[str, ...]]:
    """Alarm episodes after this look, and the detectors whose episode opened. What was not judged is not quiet."""
    episodes = dict(memory.episodes)
    opened = []
    for signal in signals:
        if not signal.figures.get("judged", True):
            continue
        before = episodes.get(signal.detector, Episodes(settings.watch.quiet_windows))
        episodes[signal.detector], new = replace(before, quiet=settings.watch.quiet_windows).look(signal.alarm)
        if new:
            opened.append(signal.detector)
    return episodes, tuple(opened)


def _estimates(
    memory: Memory,
    window: WindowData,
    detectors: Detectors,
    settings: Settings,
    signals: tuple[Signal, ...],
    maturity: Maturity,
    alpha: float,
) -> tuple[Memory, Estimate | None, Estimate, int, tuple[str, ...]]:
    """Memory, accuracy with labels and without, labels to ask for, and why nothing is believed without labels."""
    model = ChanceModel.fit(detectors.reference)
    end = utc(window.end)
    wait = timedelta(days=maturity.days)
    memory = memory.with_counted(window.labels).with_labels(label_points(window.labels, model), end, wait, window.start)
    memory = memory.with_pool(chance_pool(window, model), wait)
    seen = remember_answers(memory.rows_seen, window, detectors.reference, settings)
    inputs = inputs_of(detectors)
    known = replace(window, answered=None if window.answered is None else having(window.answered, inputs))
    seen = remember_errors(seen, having(known, inputs), ErrorModel.fit(detectors))
    kept = seen.only((point.prediction_id for point in memory.labels), (pool.start for pool in memory.pools))
    memory = replace(memory, rows_seen=kept)
    times = [row.predicted_at for row in window.labels if row.representative]
    newest = max((utc(at) for at in times), default=None)
    if newest is not None and (memory.newest_label is None or newest > memory.newest_label):
        memory = replace(memory, newest_label=newest)
    labelled = dated(from_labels(mature_windows(memory, maturity), model, alpha), maturity)
    refusals = list(stale(memory, end, settings))
    if any(signal.alarm for signal in signals if signal.detector in OF_LABELS):
        refusals.append("the labelled errors say that being right no longer goes with the inputs as it did")
    if labelled is not None and labelled.figures["contradicts_label_free"]:
        refusals.append(str(labelled.figures["contradicts_label_free"]))
    monthly = settings.budget.labels_per_month or 50
    wanted = max(monthly - (0 if labelled is None else labelled.labels), 0)
    label_free = without_labels(detectors, having(window, (SCORES, *inputs)), settings, tuple(refusals), wanted)
    return memory, labelled, label_free, max(wanted, 1), tuple(refusals)


def _years_begun(memory: Memory, window: WindowData) -> int:
    return int(memory.years(window.end)) + 1


def _figures(facts: Facts, window: WindowData) -> Json:
    figures: Json = {"late_rows": window.untold.late, "absent_detectors": dict(facts.absent)}
    if window.untold.overlapping:
        figures["backfilled_rows"] = window.untold.overlapping
    if facts.known is not None:
        figures["reference_accuracy"] = {
            "value": facts.known.value,
            "low": facts.known.bounds.low,
            "high": facts.known.bounds.high,
            "n": facts.known.n,
            "n_effective": facts.known.n_effective,
        }
    return figures
