"""Detectors without a reference, `service` and `engagement`: the alarm rate of each of 1,000 baselines, over one bank
of weeks in which nothing changes, or exactly. That their `look` says the same of the weeks is tested first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import binom

from backstay.maths.differences import winsor_limits
from backstay.maths.intervals import upper_limit
from backstay.monitor.detectors.engagement import LEAST_FALL, EngagementDetector
from backstay.monitor.detectors.rates import REFERENCE_DELTA, Share, _needed
from backstay.monitor.detectors.service import LEAST, NUMBERS, ServiceDetector, _unit_means, _Usual
from backstay.monitor.traffic import Opinion, WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_HOUR = int(BEGIN.timestamp()) // 3600
ALPHA, BASELINES = 0.01, 1000
ROWS = 6


@dataclass(frozen=True)
class Days:
    """Hours of windows of so many days: the waits of six rows, in milliseconds, and how many requests failed."""

    waits: np.ndarray
    bad: np.ndarray
    first_day: int

    @staticmethod
    def draw(rng: np.random.Generator, windows: int, days: int, busy: float, first_day: int = 0) -> Days:
        """Latency follows the hour and the weekday; days are slow or fast as a whole, hours too."""
        hour, day = np.arange(24), np.arange(first_day, first_day + days) % 7
        usual = busy * (np.sin(hour / 24 * 2 * np.pi)[None, :] + (day < 5)[:, None])
        level = usual + 0.1 * rng.normal(size=(windows, days, 1)) + 0.1 * rng.normal(size=(windows, days, 24))
        waits = np.exp(level[..., None] + 0.5 * rng.normal(size=(windows, days, 24, ROWS)) + np.log(20.0))
        return Days(waits, rng.binomial(ROWS, 0.01, (windows, days, 24)), first_day)

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """Of each hour [windows, hours] the two numbers that are tested."""
        latency, failures = np.log(np.median(self.waits, axis=-1)), self.bad / (ROWS + self.bad)
        return {name: v.reshape(len(v), -1) for name, v in zip(NUMBERS, (latency, failures), strict=True)}

    @property
    def hours(self) -> np.ndarray:
        return FIRST_HOUR + 24 * self.first_day + np.arange(24 * self.waits.shape[1], dtype=np.float64)

    def window(self, place: int) -> WindowData:
        days, start = self.waits.shape[1], BEGIN + timedelta(days=self.first_day)
        at = np.repeat(
            np.datetime64(start.replace(tzinfo=None), "us") + np.arange(24 * days) * np.timedelta64(1, "h"), ROWS
        )
        failed = np.repeat(at[::ROWS], self.bad[place].reshape(-1))
        ids, answers = np.array([f"r{i}" for i in range(len(at))], dtype=object), np.full(len(at), "a", dtype=object)
        waits = self.waits[place].reshape(-1)
        return WindowData(start, start + timedelta(days=days), ids, at, answers, latencies=waits, failures=failed)


def slower(
    first: Days, place: int, bank: Days, season: str, alpha: float, delta: float = REFERENCE_DELTA
) -> np.ndarray:
    """Evidence [windows] against one baseline of two weeks; `delta` of a half is the mutant that takes it for exact."""
    found, days = [], bank.waits.shape[1]
    for name in NUMBERS:
        values = first.numbers[name][place]
        usual = _Usual.of(first.hours, values, season)
        then = _unit_means(first.hours, usual.left_out(first.hours, values), 24.0)
        spread, freedom = max(float(then.std(ddof=1)), 1e-6), len(then) - 1
        limit = spread / np.sqrt(len(then)) * stdtrit(freedom, 1.0 - delta)
        needed = limit + spread / np.sqrt(days) * stdtrit(freedom, 1.0 - alpha / 2)
        rise = bank.numbers[name].mean(axis=1) - usual.at(bank.hours).mean()
        evidence = np.maximum(rise, 0.0) / max(needed, LEAST[name])
        if name == "failures":
            share = Share(float(first.bad[place].sum()), float(first.bad[place].sum() + first.waits[place].size))
            bad = bank.bad.sum(axis=(1, 2))
            counted = np.zeros(bad.max() + 1)
            for count in np.unique(bad):
                counted[count] = count / _needed(float(count + days * 24 * ROWS), share.allowed, alpha / 2)
            evidence = np.minimum(evidence, counted[bad])
        found.append(evidence)
    return np.max(found, axis=0)


class Cached:
    """Days of which the two numbers are made once."""

    def __init__(self, days: Days) -> None:
        self.waits, self.bad, self.hours, self.numbers = days.waits, days.bad, days.hours, days.numbers


@pytest.mark.parametrize(("season", "busy", "days"), [("none", 0.0, 7), ("week", 0.5, 7), ("week", 0.5, 1)])
def test_weeks_are_judged_as_the_service_detector_judges_them(
    season: str, busy: float, days: int, look_at: Any
) -> None:
    rng, alpha = np.random.default_rng(1), 0.4
    first, bank = Days.draw(rng, 2, 14, busy), Days.draw(rng, 8, days, busy, first_day=14)
    for place in range(2):
        _, state = ServiceDetector().look({}, first.window(place), look_at(alpha, season=season))
        assert state["complete"]
        found = slower(first, place, bank, season, alpha)
        signals = [ServiceDetector().look(state, bank.window(i), look_at(alpha, season=season))[0] for i in range(8)]
        assert np.allclose(found, [signal.evidence for signal in signals], rtol=1e-6)


def service_rates(
    season: str, busy: float, days: int, baselines: int, windows: int, alpha: float, **parts: Any
) -> np.ndarray:
    """The alarm rate of each baseline."""
    rng = np.random.default_rng(41)
    first, bank = Days.draw(rng, baselines, 14, busy), Days.draw(rng, windows, days, busy, first_day=14)
    known, bank = Cached(first), Cached(bank)
    return np.array([np.mean(slower(known, i, bank, season, alpha, **parts) >= 1.0) for i in range(baselines)])


def test_service_baselines_keep_the_promise_and_the_mutant_does_not_quick() -> None:
    found = service_rates("none", 0.0, 7, 30, 800, 0.05)
    assert 0.05 / 20 <= found.mean() <= 0.05
    assert np.quantile(service_rates("none", 0.0, 7, 30, 800, 0.05, delta=0.5), 0.95) > 1.5 * 0.05


@pytest.mark.prove
@pytest.mark.parametrize(("season", "busy", "days"), [("none", 0.0, 7), ("week", 0.5, 7), ("week", 0.5, 1)])
def test_service_of_a_thousand_baselines(season: str, busy: float, days: int, prove_rates: Any) -> None:
    found = service_rates(season, busy, days, BASELINES, 10_000, ALPHA)
    told = {"reference": "14 days", "window": f"{days} days", "windows": 10_000}
    prove_rates(f"service-{season}-{days}", "service", f"season {season}", ALPHA, found, **told)


# engagement: clicks are counts, and their rates exact; of dwell there is a bank of weeks.


def old_enough(rows: int) -> int:
    """Rows of a week, evenly spread, that are a day old at its end."""
    return int(np.count_nonzero(7.0 * np.arange(rows) / rows <= 6.0))


def week(number: int, clicked: np.ndarray, dwell: np.ndarray | None = None) -> WindowData:
    start, n = BEGIN + timedelta(days=7 * number), len(clicked)
    moments = [start + timedelta(days=7 * i / n) for i in range(n)]
    ids = np.array([f"{number}-{i}" for i in range(n)], dtype=object)
    later = timedelta(hours=1)
    said = [
        Opinion(ids[i], "click", "true", "site", moments[i] + later, "a", moments[i]) for i in np.flatnonzero(clicked)
    ]
    for i, seconds in enumerate([] if dwell is None else dwell):
        said.append(Opinion(ids[i], "dwell", repr(float(seconds)), "site", moments[i] + later, "a", moments[i]))
    times = np.array([np.datetime64(m.replace(tzinfo=None), "us") for m in moments])
    answers = np.full(n, "a", dtype=object)
    return WindowData(start, start + timedelta(days=7), ids, times, answers, opinions=tuple(said))


def fewer_clicks(used: int, of: int, n: int, alpha: float, delta: float = REFERENCE_DELTA) -> np.ndarray:
    """Evidence of every number of clicks [n + 1] among n rows, after a baseline of `used` of `of`."""
    unused = _needed(float(n), upper_limit(float(of - used), float(of), delta), alpha)
    needed = used / of - 1.0 + unused / n
    return (used / of - np.arange(n + 1) / n) / max(needed, LEAST_FALL * used / of, 1e-12)


def by_students_t(used: int, of: int, n: int, alpha: float) -> np.ndarray:
    """The mutant that takes clicks for normal numbers."""
    share, before = np.arange(n + 1) / n, used / of
    limit = np.sqrt(before * (1.0 - before) / (of - 1)) * stdtrit(of - 1, 1.0 - REFERENCE_DELTA)
    needed = limit + np.sqrt(share * (1.0 - share) / (n - 1)) * stdtrit(n - 1, 1.0 - alpha)
    return (before - share) / np.maximum(needed, LEAST_FALL * before)


def less_dwell(first: np.ndarray, weeks: np.ndarray, alpha: float, own: bool = False) -> np.ndarray:
    """Evidence of weeks [windows, n] after a baseline of two [2, n], clipped at what the first of them exceeds. `own`:
    the mutant that takes the week's own spread, be it smaller."""
    limits = winsor_limits(first[0])
    known, values = np.clip(first, *limits).reshape(-1), np.clip(weeks, *limits)
    variance, n = values.var(axis=1, ddof=1), weeks.shape[1]
    spread = np.sqrt(variance if own else np.maximum(variance, known.var(ddof=1)))
    limit = np.sqrt(known.var(ddof=1) / len(known)) * stdtrit(len(known) - 1, 1.0 - REFERENCE_DELTA)
    needed = limit + spread / np.sqrt(n) * stdtrit(n - 1, 1.0 - alpha)
    return (known.mean() - values.mean(axis=1)) / np.maximum(np.maximum(needed, LEAST_FALL * known.mean()), 1e-12)


def test_weeks_are_judged_as_the_engagement_detector_judges_them(look_at: Any) -> None:
    rng, alpha, n = np.random.default_rng(2), 0.4, 400
    clicks, dwell, state = rng.random((8, n)) < 0.1, np.exp(rng.normal(size=(8, n))) * 20.0, {}
    signals = []
    for number in range(8):
        signal, state = EngagementDetector().look(state, week(number, clicks[number], dwell[number]), look_at(alpha))
        signals.append(signal.figures.get("evidence_by_kind"))
    seen, each = old_enough(n), alpha / 2 / 2
    used = int(clicks[:2, :seen].sum())
    of_clicks = fewer_clicks(used, 2 * seen, seen, each)[clicks[2:, :seen].sum(axis=1)]
    of_dwell = less_dwell(dwell[:2, :seen], dwell[2:, :seen], each)
    assert np.allclose(of_clicks, [told["click"] for told in signals[2:]], rtol=1e-9)
    assert np.allclose(of_dwell, [told["dwell"] for told in signals[2:]], rtol=1e-9)


Judge = Callable[..., np.ndarray]


def click_rates(share: float, rows: int, baselines: int, alpha: float, judge: Judge = fewer_clicks) -> np.ndarray:
    """The chance of an alarm of each baseline, exactly; a kind that is alone is told half of the level."""
    n = old_enough(rows)
    used = np.random.default_rng(43).binomial(2 * n, share, baselines)
    chances = {}
    for count in np.unique(used).tolist():
        alarms = np.flatnonzero(judge(count, 2 * n, n, alpha / 2) >= 1.0)
        chances[count] = float(binom.pmf(alarms, n, share).sum())
    return np.array([chances[count] for count in used.tolist()])


def seconds(rng: np.random.Generator, share: float, *shape: int) -> np.ndarray:
    """Log-normal seconds of a share of the rows, none of the others."""
    return np.where(rng.random(shape) < share, np.exp(rng.normal(size=shape)) * 20.0, 0.0).astype(np.float32)


def dwell_rates(share: float, baselines: int, windows: int, alpha: float, own: bool = False) -> np.ndarray:
    """Of weeks of 400 rows, over a bank of weeks."""
    rng, n = np.random.default_rng(47), old_enough(400)
    weeks = seconds(rng, share, windows, n)
    firsts = (seconds(rng, share, 2, n).astype(np.float64) for _ in range(baselines))
    return np.array([np.mean(less_dwell(first, weeks, alpha / 2, own) >= 1.0) for first in firsts])


def test_engagement_baselines_keep_the_promise_and_the_mutants_do_not_quick() -> None:
    for share, rows in ((0.02, 400), (0.2, 2000)):
        found = click_rates(share, rows, 80, ALPHA)
        assert found.mean() <= ALPHA
        assert np.quantile(found, 0.95) <= 1.5 * ALPHA
    exact = lambda used, of, n, alpha: fewer_clicks(used, of, n, alpha, delta=0.5)  # noqa: E731 - one line says it
    assert np.quantile(click_rates(0.2, 2000, 60, ALPHA, exact), 0.95) > 1.5 * ALPHA
    assert np.quantile(click_rates(0.02, 400, 80, ALPHA, by_students_t), 0.95) > 1.5 * ALPHA
    assert dwell_rates(1.0, 8, 2000, ALPHA).mean() <= ALPHA
    assert dwell_rates(0.02, 12, 2000, ALPHA, own=True).max() > 1.5 * ALPHA


@pytest.mark.prove
@pytest.mark.parametrize(("share", "rows"), [(0.02, 400), (0.2, 400), (0.02, 4000), (0.2, 4000)])
def test_clicks_of_a_thousand_baselines(share: float, rows: int, prove_rates: Any) -> None:
    """Half of the level is kept for a rival, so half of the least is asked for."""
    told = {"reference": f"2 weeks of {rows} rows", "window": f"a week of {rows} rows", "windows": "exact"}
    found, name = click_rates(share, rows, BASELINES, ALPHA), f"engagement-{share:.0%}-{rows}".replace("%", "")
    prove_rates(name, "engagement", f"clicks {share:.0%}", ALPHA, found, least=1 / 40, **told)


@pytest.mark.prove
@pytest.mark.parametrize(("share", "least"), [(1.0, 1 / 200), (0.2, 1 / 1000), (0.02, 0.0)])
def test_dwell_of_a_thousand_baselines(share: float, least: float, prove_rates: Any) -> None:
    """Careful: a baseline that is high by luck has a large spread too. Of seven values none can be shown."""
    told = {"reference": "2 weeks of 400 rows", "window": "a week of 400 rows", "windows": 10_000}
    found, traffic = dwell_rates(share, BASELINES, 10_000, ALPHA), f"dwell of {share:.0%} of rows"
    prove_rates(f"engagement-dwell-{100 * share:.0f}", "engagement", traffic, ALPHA, found, least=least, **told)


@pytest.mark.prove
def test_mutants_of_whole_detectors_fail(prove_mutants: Any) -> None:
    exact = lambda used, of, n, alpha: fewer_clicks(used, of, n, alpha, delta=0.5)  # noqa: E731 - one line says it
    mutant = "takes the baseline for exact"
    found = {
        ("service", mutant): service_rates("none", 0.0, 7, 200, 4000, ALPHA, delta=0.5),
        ("engagement", f"{mutant} (clicks 20%)"): click_rates(0.2, 4000, BASELINES, ALPHA, exact),
        ("engagement", "Student's t (clicks 2%)"): click_rates(0.02, 400, BASELINES, ALPHA, by_students_t),
        ("engagement", "Student's t by the week's own spread (dwell of 2% of rows)"): dwell_rates(
            0.02, 200, 10_000, ALPHA, own=True
        ),
    }
    prove_mutants("baselines", {name: rates / ALPHA for name, rates in found.items()})
