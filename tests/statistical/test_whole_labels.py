"""Whole detectors that bet on labels and decisions: false alarms a year of each of 1,000 references or baselines.

Which steps are bet on does not hang on the reference, only what is bet against: one bank of streams, whose steps are
made as the detectors make them, serves all references. That their states count the same alarms is tested first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from backstay.kernel.records import Label, LabelUse
from backstay.maths.betting import LAMBDAS, geometric_bets, null_error
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.groups import GroupsDetector, _Stream
from backstay.monitor.detectors.label_quality import MISSED, WORDS, LabelQualityDetector
from backstay.monitor.detectors.labelled_error import LabelledErrorDetector
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.rationing import allowed, block_means, threshold
from backstay.monitor.detectors.streams import FIRST
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import LabelledRow, Opinion, WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
PER_YEAR, REFERENCES = 0.4, 1000
At = Callable[..., Look]


def alarms_of(steps: np.ndarray, m0: np.ndarray, limit: float) -> np.ndarray:
    """Alarms [k, streams] of e-detectors against each m0 [k] over steps [T, streams], which end with NaN.

    R = (R + 1) e for each of eight bets, their mean against the limit, and afresh after an alarm.
    """
    bets = np.stack([geometric_bets(one) for one in m0], axis=1)[:, :, None]
    found = np.zeros((len(m0), steps.shape[1]))
    wealth = np.zeros((LAMBDAS, len(m0), steps.shape[1]))
    for step in steps:
        grown = 1.0 + bets * (step[None, None, :] - m0[None, :, None])
        wealth = np.where(np.isnan(step), wealth, (wealth + 1.0) * grown)
        crossed = wealth.mean(axis=0) >= limit
        found += crossed & ~np.isnan(step)
        wealth[:, crossed] = 0.0
    return found


def alarms_by_value(steps: np.ndarray, m0: np.ndarray, limit: float) -> np.ndarray:
    """Mean number of alarms of a stream, for each m0 [k]; values that recur are found once."""
    values, places = np.unique(m0, return_inverse=True)
    parts = [alarms_of(steps, values[at : at + 16], limit).mean(axis=1) for at in range(0, len(values), 16)]
    return np.concatenate(parts)[places.reshape(-1)]


def together(steps: list[list[float]]) -> np.ndarray:
    """Steps of unequal number as columns that end with NaN."""
    found = np.full((max(map(len, steps)), len(steps)), np.nan)
    for place, one in enumerate(steps):
        found[: len(one), place] = one
    return found


def empty(week: int, **parts: Any) -> WindowData:
    start = BEGIN + timedelta(days=7 * week)
    times, answers = np.array([np.datetime64("2026-01-05", "us")]), np.array(["a"], dtype=object)
    ids = np.array(["x"], dtype=object)
    return WindowData(start, start + timedelta(days=7), ids, times, answers, **parts)


def labelled(week: int, place: int, wrong: bool, **parts: Any) -> LabelledRow:
    at = BEGIN + timedelta(days=7 * week, minutes=place)
    given = {"source": "review", "trusted": True, "adjudicated": True, "use": LabelUse.STANDING, "probability": 0.1}
    label = Label(
        prediction_id=f"{week}-{place}",
        value="b" if wrong else "a",
        at=at,
        model="m",
        environment="production",
        group=None,
        **given,
    )
    return replace(LabelledRow(label, "a", at, None, False), **parts)


# labelled_error: of a reference only its errors count.


def test_labelled_error_bets_as_is_computed(look_at: At) -> None:
    rng, detector = np.random.default_rng(1), LabelledErrorDetector(4.0, 100.0)
    wrong, state = rng.random((40, 12)) < 0.3, {}
    for week, row in enumerate(wrong):
        labels = tuple(labelled(week, place, bool(bad)) for place, bad in enumerate(row))
        _, state = detector.look(state, empty(week, labels=labels), look_at(0.01, years=(week + 1) / 52))
    m0, limit = null_error(4.0, 100.0, REFERENCE_DELTA), threshold(look_at(0.01))
    found = alarms_of(wrong.reshape(-1, 1).astype(float), np.array([m0]), limit)
    assert state["detector"]["alarms"] == found[0, 0] > 2


def error_rates(error: float, rows: int, steps: int, look: Look, null: Callable[..., float] = null_error) -> np.ndarray:
    """False alarms of each reference over those that its steps may raise. Its errors are all that is known of it."""
    rng = np.random.default_rng(29)
    errors = rng.binomial(rows, error, REFERENCES)
    streams = (rng.random((steps, 16)) < error).astype(float)
    m0 = np.array([null(float(count), float(rows), REFERENCE_DELTA) for count in errors])
    limit = threshold(look)
    return alarms_by_value(streams, m0, limit) / steps * limit


def test_labelled_error_keeps_the_promise_quick(look_at: At) -> None:
    found = error_rates(0.1, 400, 2000, look_at(0.01))
    assert found.mean() <= 1.0
    assert np.quantile(found, 0.95) <= 1.5


def as_seen(errors: float, rows: float, delta: float) -> float:
    """The mutant that takes the reference's share for that of the traffic."""
    return max(errors, 0.5) / rows


def test_labelled_error_against_the_share_as_seen_fails_quick(look_at: At) -> None:
    assert np.quantile(error_rates(0.1, 400, 2000, look_at(0.01), as_seen), 0.95) > 1.5


@pytest.mark.prove
@pytest.mark.parametrize(("error", "rows"), [(0.1, 400), (0.05, 1000), (0.02, 5000)])
def test_labelled_error_of_a_thousand_references(error: float, rows: int, look_at: At, prove_rates: Any) -> None:
    """20,000 steps of 16 streams: two hundred alarms may be raised of each reference."""
    found = error_rates(error, rows, 20_000, look_at(0.01))
    told = {"reference": f"{rows} labels", "window": "each label", "windows": 320_000}
    limit = threshold(look_at(0.01))
    prove_rates(f"labelled-error-{rows}", "labelled_error", f"error {error}", 1 / limit, found / limit, **told)


# groups: of a reference only the largest gap that it leaves possible counts, for each group.

SITES, SHARES, LABELS = ("north", "south", "west"), (0.2, 0.4, 0.4), 23


def sites(rng: np.random.Generator, rows: int, error: float = 0.1) -> Reference:
    return fit_reference(
        np.full(rows, "a", dtype=object),
        ("a", "b"),
        correct=rng.random(rows) >= error,
        slices={"site": rng.choice(np.array(SITES, dtype=object), rows)},
    )


def weeks_of(rng: np.random.Generator, weeks: int, errors: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Site and whether wrong, of the labels of each week."""
    site = rng.choice(len(SITES), (weeks, LABELS), p=SHARES)
    return site, rng.random((weeks, LABELS)) < np.asarray(errors)[site]


def steps_of_group(site: np.ndarray, wrong: np.ndarray, group: int, look_at: At) -> list[float]:
    """What is bet on of one group: pairs as they come, in blocks where there are more than steps."""
    stream, steps = _Stream(), list[float]()
    for week in range(len(site)):
        mine = [(int(s) == group, float(w)) for s, w in zip(site[week], wrong[week], strict=True)]
        stream, pairs = stream.paired(mine)
        inside = sum(1 for own, _ in mine if own)
        share = max(int(allowed(look_at(0.01, years=(week + 1) / 52), 0) * inside / len(mine)), 1)
        steps += block_means(np.asarray(pairs), max(share - len(steps), 1)).tolist()
    return steps


def test_groups_bet_as_is_computed(look_at: At) -> None:
    rng = np.random.default_rng(2)
    detector, state = GroupsDetector.fit(sites(rng, 900)), {}
    assert detector is not None
    site, wrong = weeks_of(rng, 40, (0.6, 0.1, 0.1))
    for week in range(40):
        labels = tuple(
            labelled(week, place, bool(wrong[week, place]), slices={"site": SITES[site[week, place]]})
            for place in range(LABELS)
        )
        _, state = detector.look(state, empty(week, labels=labels), look_at(0.01, years=(week + 1) / 52))
    for group in detector.groups:
        steps = steps_of_group(site, wrong, SITES.index(group.value), look_at)
        found = alarms_of(np.array(steps)[:, None], np.array([group.m0(0.0)]), threshold(look_at(0.01)))
        assert state[group.name]["detector"]["steps"] == len(steps)
        assert state[group.name]["detector"]["alarms"] == found[0, 0]
    assert state["site=north"]["detector"]["alarms"] > 0


def seen_gap(reference: Reference) -> dict[str, float]:
    """The mutant's gaps: as they were among the reference's rows."""
    values, wrong = reference.slices["site"], 1.0 - np.asarray(reference.correct)
    return {site: float(wrong[values == site].mean() - wrong[values != site].mean()) for site in SITES}


def group_rates(rows: int, streams: int, weeks: int, references: int, look_at: At, mutant: bool = False) -> np.ndarray:
    """False alarms a year of each reference, over those that it may raise."""
    rng = np.random.default_rng(31)
    bank = [weeks_of(rng, weeks, (0.1, 0.1, 0.1)) for _ in range(streams)]
    known = [sites(rng, rows) for _ in range(references)]
    fitted = [GroupsDetector.fit(one) for one in known]
    found, limit = np.zeros(references), threshold(look_at(0.01))
    for place, name in enumerate(SITES):
        steps = together([steps_of_group(site, wrong, place, look_at) for site, wrong in bank])
        groups = [next(group for group in one.groups if group.value == name) for one in fitted if one is not None]
        if mutant:
            groups = [replace(g, gap=seen_gap(one)[name]) for g, one in zip(groups, known, strict=True)]
        found += alarms_by_value(steps, np.array([group.m0(0.0) for group in groups]), limit)
    return found / (weeks / 52) / PER_YEAR


def test_groups_that_are_alike_are_quiet_and_the_mutant_is_not_quick(look_at: At) -> None:
    assert group_rates(600, 20, 104, 10, look_at).mean() <= 1.0
    assert group_rates(300, 20, 104, 20, look_at, mutant=True).max() > 1.5


@pytest.mark.prove
@pytest.mark.parametrize(("rows", "least"), [(600, 1 / 1000), (5000, 1 / 50)])
def test_groups_of_a_thousand_references(rows: int, least: float, look_at: At, prove_rates: Any) -> None:
    """150 streams of two years: 120 false alarms may be raised of each reference. Of few labels the limits of both
    sides of a gap leave so much possible that hardly one is; of many, bets on differences are careful still."""
    found = group_rates(rows, 150, 104, REFERENCES, look_at)
    told = {"reference": f"{rows} labels", "window": f"{LABELS} labels a week", "windows": 150 * 104}
    prove_rates(f"groups-{rows}", "groups", "three sites", PER_YEAR, found * PER_YEAR, least=least, **told)


# label_quality: of a baseline only the marked ones of the first hundred count, for each share.

A_WEEK = 60
USUAL = {"disagreement": 0.1, "corrections": 0.2, "acceptance": 0.8, "haste": 0.02, "missed": MISSED}


def decided(rng: np.random.Generator, weeks: int, **changes: float) -> dict[str, np.ndarray]:
    """Outcomes [weeks, 60] of each share; haste is counted of what was accepted."""
    usual = {**USUAL, **changes}
    found = {name: rng.random((weeks, A_WEEK)) < usual[name] for name in WORDS}
    found["acceptance"] = ~found["corrections"]
    found["haste"] &= found["acceptance"]
    return found


def opinions(outcomes: dict[str, np.ndarray], week: int) -> list[Opinion]:
    """Feedback from which a detector makes these outcomes, in order."""
    said = []
    for i in range(A_WEEK):
        at, name = BEGIN + timedelta(days=7 * week, minutes=i), f"{week}-{i}"

        def tell(stem: str, kind: str, value: str, source: str = "ada", seconds: float | None = None) -> None:
            said.append(Opinion(f"{stem}{name}", kind, value, source, at, "a", at, seconds))  # noqa: B023 - told at once

        hasty, corrected = outcomes["haste"][week, i], outcomes["corrections"][week, i]
        tell("o", "override", "b" if corrected else "a", seconds=1.0 if hasty else 20.0)
        tell("s", "seeded", "accepted" if outcomes["missed"][week, i] else "overridden")
        tell("l", "label", "a")
        tell("l", "label", "b" if outcomes["disagreement"][week, i] else "a", "bob")
    return said


def steps_of_share(name: str, outcomes: np.ndarray, look_at: At) -> list[float]:
    """What is bet on of one share, after its baseline."""
    passed = {"missed": 0, "haste": 2 * FIRST}.get(name, FIRST)
    steps, seen = list[float](), 0
    for week, row in enumerate(outcomes.astype(float)):
        values, seen = row[max(passed - seen, 0) :], seen + len(row)
        if len(values):
            steps += block_means(values, allowed(look_at(0.01, years=(week + 1) / 52), len(steps))).tolist()
    return steps


def baseline(name: str, outcomes: np.ndarray) -> float:
    """Marked ones among those that the baseline is made of; `haste` learns the usual time from the first hundred."""
    return float(outcomes.reshape(-1)[FIRST if name == "haste" else 0 :][:FIRST].sum())


def null_of(name: str, marked: float) -> float:
    return MISSED if name == "missed" else null_error(marked, float(FIRST), REFERENCE_DELTA / len(WORDS))


def test_label_quality_bets_as_is_computed(look_at: At) -> None:
    rng, detector, state, weeks = np.random.default_rng(3), LabelQualityDetector(("a", "b")), {}, 16
    first, later = decided(rng, 5), decided(rng, weeks - 5, corrections=0.6, disagreement=0.4, haste=0.3, missed=0.5)
    outcomes = {name: np.concatenate([first[name], later[name]]) for name in WORDS}
    told: list[Opinion] = []
    for week in range(weeks):
        told += opinions(outcomes, week)
        _, state = detector.look(state, empty(week, opinions=tuple(told)), look_at(0.01, years=(week + 1) / 52))
    limit, alarms = threshold(look_at(0.01), len(WORDS)), 0.0
    for name in WORDS:
        steps = np.array(steps_of_share(name, outcomes[name], look_at))[:, None]
        found = alarms_of(steps, np.array([null_of(name, baseline(name, outcomes[name]))]), limit)[0, 0]
        assert state[name]["detector"]["steps"] == len(steps)
        assert state[name]["detector"]["alarms"] == found
        alarms += found
    assert alarms >= 4


def quality_rates(
    streams: int, weeks: int, baselines: int, look_at: At, null: Callable[[str, float], float] = null_of
) -> np.ndarray:
    """False alarms a year of each baseline, over those that it may raise; those of the five shares add up."""
    rng = np.random.default_rng(37)
    bank = [decided(rng, weeks) for _ in range(streams)]
    firsts = [decided(rng, 4) for _ in range(baselines)]
    found, limit = np.zeros(baselines), threshold(look_at(0.01), len(WORDS))
    for name in WORDS:
        steps = together([steps_of_share(name, one[name], look_at) for one in bank])
        m0 = np.array([null(name, baseline(name, one[name])) for one in firsts])
        found += alarms_by_value(steps, m0, limit)
    return found / (weeks / 52) / PER_YEAR


def as_at_first(name: str, marked: float) -> float:
    """The mutant that takes the first hundred's share for what is usual."""
    return MISSED if name == "missed" else min(max(marked, 0.5) / FIRST, 0.995)


def test_the_same_people_are_quiet_and_the_mutant_is_not_quick(look_at: At) -> None:
    assert quality_rates(15, 52, 60, look_at).mean() <= 1.0
    assert np.quantile(quality_rates(10, 52, 60, look_at, as_at_first), 0.95) > 1.5


@pytest.mark.prove
def test_label_quality_of_a_thousand_baselines(look_at: At, prove_rates: Any) -> None:
    """150 streams of two years: 120 false alarms may be raised of each baseline."""
    found = quality_rates(150, 104, REFERENCES, look_at)
    told = {"reference": f"first {FIRST} of each share", "window": f"{A_WEEK} a week", "windows": 150 * 104}
    prove_rates("label-quality", "label_quality", "five shares", PER_YEAR, found * PER_YEAR, **told)


@pytest.mark.prove
def test_mutants_of_whole_detectors_fail(look_at: At, prove_mutants: Any) -> None:
    prove_mutants(
        "labels",
        {
            ("labelled_error", "bets against the share as seen"): error_rates(0.1, 400, 5000, look_at(0.01), as_seen),
            ("groups", "bets against the gap as seen"): group_rates(300, 40, 104, 200, look_at, mutant=True),
            ("label_quality", "bets against the first hundred's share"): quality_rates(
                40, 104, 200, look_at, as_at_first
            ),
        },
    )
