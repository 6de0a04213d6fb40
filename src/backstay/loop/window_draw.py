"""Labels where they tell most: rows of the newest judged window, drawn by how doubtful the model's answers are.

A draw is of the rows that nobody had been asked about when it began, which is blind to what is true of them. Its strata
are fixed then, so that a second request tops the same draw up.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.records import Json, LabelRequest, Release
from backstay.labels.queue import WINDOW, draw_by_stratum
from backstay.loop.lookup import window_results
from backstay.loop.reference import reference_of
from backstay.loop.workspace import Workspace
from backstay.maths.stratified import allocate, doubt_cuts, strata_of
from backstay.monitor.estimate import LEAST_FOR_CHANCES, ChanceModel
from backstay.monitor.memory import POOLED
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import Drawn, LabelledRow
from backstay.monitor.windows import stamp

# The interval was measured from here on (docs/statistics/estimates.md).
FEWEST = 30
MONTH = timedelta(days=365.25 / 12)
OTHERWISE = "ask with --purpose estimate, which draws uniformly"


def request_of_window(ws: Workspace, release: Release, rows: Rows, n: int) -> None:
    """Queue rows of the newest window by stratum, each with its chance; the draw goes into the ledger.

    Raises:
        BackstayError: no window has been judged, the model gives no scores to doubt by, the month's budget is spent,
            or there are not so many rows.
    """
    reference = reference_of(ws, release)
    model = ChanceModel.fit(reference)
    if model is None:
        raise _blind(reference)
    requests = ws.catalog.requests(ws.name, ws.environment)
    _within_budget(ws, requests, n)
    judged = window_results(ws, release.id)
    if not judged:
        raise BackstayError(
            "no window of this release has been judged yet",
            fix=f"close one with `backstay watch --now`, or {OTHERWISE}",
        )
    window = judged[-1]
    inside = rows.between(window.start, window.end)
    inside = inside.take(inside.sound() if inside.scored is None else inside.sound() & inside.scored)
    if inside.scores is None:
        raise _blind(reference, scored=False)
    chances = model.chances(inside.scores.astype(np.float64))
    mine = {r.prediction_id: r.stratum for r in requests if r.draw == window.id and r.stratum is not None}
    asked = {r.prediction_id for r in requests} - mine.keys()
    # The draw is of these rows: those that it has asked for, and those that nobody was asked about.
    frame = np.array([str(i) not in asked for i in inside.ids], dtype=np.bool_)
    inside, chances = inside.take(frame), chances[frame]
    key = f"{_prefix(ws, release.id)}{window.id}"
    kept = ws.catalog.get_state(key)
    cuts = doubt_cuts(chances) if kept is None else tuple(kept["cuts"])
    strata = strata_of(chances, cuts)
    free = np.array([str(i) not in mine for i in inside.ids], dtype=np.bool_)
    least = 1 if mine else FEWEST
    _can_be_drawn(n, int(free.sum()), least)
    already = np.bincount(strata[~free], minlength=len(cuts) + 1)
    wanted = allocate(strata, chances, n, already)
    drawn = draw_by_stratum(
        inside.take(free),
        strata[free],
        wanted,
        draw=window.id,
        rng=np.random.default_rng(int(digest({"draw": window.id, "asked": len(requests)})[:12], 16)),
        now=ws.clock.now(),
        **ws.scope,
    )
    sizes = np.bincount(strata, minlength=len(cuts) + 1)
    _record(ws, key, release, window.id, (window.start, window.end), cuts, sizes.tolist(), drawn)


def drawn_of(
    ws: Workspace, release: Release, labels: tuple[LabelledRow, ...], start: datetime, end: datetime
) -> Drawn | None:
    """The newest draw that speaks at a look at the window from start to end, and of which a label has come in.

    It is of a window whose labels have had their time, that of the look before or one of about a month: an older one
    says nothing of now.
    """
    wait = timedelta(days=ws.settings.labels.maturity_days)
    until, since = end - wait, min(end - POOLED, start) - wait
    states = sorted(ws.catalog.states(_prefix(ws, release.id)).values(), key=lambda s: str(s["end"]), reverse=True)
    states = [state for state in states if since <= datetime.fromisoformat(state["end"]) <= until]
    if not states:
        return None
    waiting = [r for r in ws.catalog.requests(ws.name, ws.environment, status="open") if r.draw is not None]
    for state in states:
        found: dict[str, LabelledRow] = {}
        for row in labels:
            if row.label.draw == state["window"] and row.label.trusted:
                found.setdefault(row.label.prediction_id, row)
        if found:
            strata = range(len(state["rows"]))
            of = [[row for row in found.values() if row.label.stratum == stratum] for stratum in strata]
            return Drawn(
                start=datetime.fromisoformat(state["start"]),
                end=datetime.fromisoformat(state["end"]),
                rows=tuple(state["rows"]),
                labels=tuple(len(rows) for rows in of),
                right=tuple(sum(row.correct for row in rows) for rows in of),
                waiting=sum(r.draw == state["window"] for r in waiting),
            )
    return None


def outside_draws(ws: Workspace, release: Release, times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Which rows, by their times [n], are of no window that was drawn from by doubt.

    Of such a window the easy rows are what is left: a uniform draw from them would say that the model is better than
    it is.
    """
    free = np.ones(len(times), dtype=np.bool_)
    for state in ws.catalog.states(_prefix(ws, release.id)).values():
        start, end = (stamp(datetime.fromisoformat(state[name])) for name in ("start", "end"))
        free &= (times < start) | (times >= end)
    return free


def _prefix(ws: Workspace, release_id: str) -> str:
    return f"draw/{ws.name}/{ws.environment}/{release_id}/"


def _blind(reference: Reference, *, scored: bool = True) -> BackstayError:
    why = _why_blind(reference, scored)
    return BackstayError(f"nothing tells which answers are doubtful: {why}", fix=OTHERWISE)


def _why_blind(reference: Reference, scored: bool) -> str:
    """What lacks to tell a doubtful answer from a sure one. `scored`: whether the window's rows have scores."""
    if reference.members is not None:
        return "a model of sets gives a chance for each label, and none that the whole set is right"
    if reference.numbers is not None:
        return "the model answers numbers, without a chance of being right"
    if not scored or reference.scores is None:
        return "the model gives no scores"
    labelled = len(reference.labelled)
    if labelled < LEAST_FOR_CHANCES:
        return f"{labelled} reference rows that it has not learned from have labels, and {LEAST_FOR_CHANCES} are needed"
    return f"it is right, or wrong, on all of the {labelled} reference rows that it has not learned from"


def _can_be_drawn(n: int, free: int, least: int) -> None:
    if least <= n <= free:
        return
    if free == 0:
        raise BackstayError(
            f"{n} rows were asked for and somebody was asked about every row of the newest window",
            fix="answer those that wait (`backstay label`), or ask again when the next window has been judged",
        )
    within = f"ask for {least} to {free}" if least < free else f"ask for {free}"
    raise BackstayError(
        f"{n} rows were asked for; {free} unasked ones of the newest window are logged, and its estimate needs {least} "
        "or more",
        fix=f"{within}, or {OTHERWISE}" if least <= free else OTHERWISE,
    )


def _within_budget(ws: Workspace, requests: list[LabelRequest], n: int) -> None:
    since = ws.clock.now() - MONTH
    spent = sum(r.purpose == WINDOW and r.requested_at > since for r in requests)
    most = ws.settings.budget.window_labels_per_month
    if spent + n > most:
        raise BackstayError(
            f"{n} rows were asked for: {spent} of the {most} that budget.window_labels_per_month allows are spent",
            fix=f"ask for at most {most - spent}, or allow more" if spent < most else "wait, or allow more",
        )


def _record(
    ws: Workspace,
    key: str,
    release: Release,
    window: str,
    span: tuple[datetime, datetime],
    cuts: tuple[float, ...],
    sizes: list[int],
    drawn: list[LabelRequest],
) -> None:
    """The strata first: requests without them could not be weighted, strata without requests harm nobody."""
    strata = []
    for stratum, rows in enumerate(sizes):
        mine = [r for r in drawn if r.stratum == stratum]
        strata.append({"rows": rows, "drawn": len(mine), "probability": mine[0].probability if mine else 0.0})
    state: Json = {"window": window, "cuts": list(cuts), "rows": sizes}
    state |= {"start": span[0].isoformat(), "end": span[1].isoformat()}
    with ws.ledger.transaction() as tx:
        tx.set_state(key, state)
        tx.append("draw", {"release": release.id, "window": window, "strata": strata}, actor=ws.actor)
    ws.catalog.add_requests(drawn)
