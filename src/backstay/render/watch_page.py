"""How is the model? One page that answers in plain words, with what it was read from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.kernel.records import Decision, WindowResult
from backstay.render.chart_part import chart_part
from backstay.render.engine import fill
from backstay.render.examples import Example
from backstay.render.located_part import located_part
from backstay.render.prose import estimate_name, number, percent
from backstay.render.tiles import shown, tiles
from backstay.render.timeline import Timeline, build_timeline

MOST_HISTORY = 24


def watch_page(
    result: WindowResult,
    history: Sequence[WindowResult] = (),
    *,
    model: str,
    environment: str,
    examples: Mapping[str, Example] | None = None,
    reference_examples: Sequence[Example] = (),
    missed_examples: Mapping[int, Example] | None = None,
    decision: Decision | None = None,
    timeline: Timeline | None = None,
    notes: Sequence[str] = (),
    released: bool = True,
) -> str:
    """The page of one window.

    Args:
        result: the window that the page is about.
        history: earlier windows, for the list of them and for the timeline when none is given.
        examples: rows of this window by prediction id; those that signals name are shown first.
        reference_examples: rows from before, to compare with.
        missed_examples: rows from before by their place in the reference, of clusters that shrank.
        decision: whether to retrain, with its sum.
        notes: what was noticed at this look besides.
        released: False where rows were judged without a project, so that there is no release to speak of.
    """
    before = [r for r in history if r.id != result.id]
    first, _, rest = result.headline.partition(". ")
    timeline = build_timeline([*before, result]) if timeline is None else timeline
    chart = chart_part(timeline)
    return fill(
        "watch.html.j2",
        title=f"{model} in {environment}: {result.condition.value}",
        r=result,
        headline=first if not first or first.endswith(".") else f"{first}.",
        more=rest,
        model=model,
        environment=environment,
        now=tiles(shown(result.signals, examples or {}), "now"),
        then=tiles(reference_examples, "before"),
        decision=decision,
        notes=notes,
        released=released,
        terms=[] if decision is None else [(name.replace("_", " "), _term(v)) for name, v in decision.terms.items()],
        moved=_moved(result),
        located=located_part(result.located, examples or {}, missed_examples or {}),
        signals=sorted(result.signals, key=lambda s: (not s.alarm, s.detector)),
        spent=_spent(result),
        confusions=_confusions(result),
        reference=result.figures.get("reference_accuracy"),
        chart=chart,
        caption=chart.caption,
        history=sorted(before, key=lambda r: (r.start, r.end), reverse=True)[:MOST_HISTORY],
    )


def _moved(result: WindowResult) -> list[str]:
    """What moved, in words, from the detectors that raised an alarm, each said once."""
    said = [word for signal in result.signals if signal.alarm for word in (signal.moved or (signal.message,))]
    return list(dict.fromkeys(said))


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Shares of all rows in words: of each true class (name first) a line of value and limits by answer."""

    kind: str
    classes: tuple[str, ...]
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def _confusions(result: WindowResult) -> list[_Confusion]:
    """By labels and without, each once: all figures by class of one kind have the same."""
    found = {e.kind: e.figures for e in result.estimates if "confusion" in e.figures}
    return [_confusion(estimate_name(kind), figures) for kind, figures in found.items()]


def _confusion(kind: str, figures: Mapping[str, Any]) -> _Confusion:
    classes, tables = tuple(figures["classes"]), figures["confusion"]
    lines = []
    for true, name in enumerate(classes):
        sides = zip(tables["value"][true], tables["low"][true], tables["high"][true], strict=True)
        cells = tuple((percent(value), f"{percent(low)} to {percent(high)}") for value, low, high in sides)
        lines.append((name, cells))
    return _Confusion(kind, classes, tuple(lines))


def _spent(result: WindowResult) -> str | None:
    """The share of the budget as a place on a bar of 100; None without a budget."""
    if not (math.isfinite(result.budget) and math.isfinite(result.budget_spent)) or result.budget <= 0:
        return None
    return f"{100 * min(max(result.budget_spent / result.budget, 0.0), 1.0):.2f}"


def _term(value: Any) -> str:
    return number(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
