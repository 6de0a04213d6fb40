"""Type-I error of bets and e-detectors on null streams, with mutants that must fail (METHODS 1a and 11)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.betting import Agrapa, EProcess, geometric_bets, null_error
from backstay.maths.detector import ErrorDetector

ALPHA = 0.05


def allowed(streams: int, alpha: float = ALPHA) -> int:
    """METHODS 11: pass up to the binomial 99.9% point."""
    return int(binom.ppf(0.999, streams, alpha))


def null_streams(streams: int, length: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((streams, length)) < 0.10).astype(float)


def false_alarms(streams: np.ndarray) -> dict[str, int]:
    limit = np.log(1 / ALPHA)
    mixture = sum(EProcess.start(0.10).update(x).peak >= limit for x in streams)
    adaptive = sum(Agrapa(0.10).update(x).peak >= limit for x in streams)
    return {"mixture": mixture, "aGRAPA": adaptive}


def peeking_alarms(streams: np.ndarray) -> int:
    """A mutant that chooses each bet after seeing what it bets on."""
    found = 0
    for x in streams:
        bets = np.where(x > 0.10, geometric_bets(0.10)[2], geometric_bets(0.10)[1])
        found += np.cumsum(np.log1p(bets * (x - 0.10))).max() >= np.log(1 / ALPHA)
    return found


def regimes(streams: int, length: int, mean_length: int, seed: int) -> np.ndarray:
    """Errors of .05 and .15 in turns: mean .10, conditional mean not."""
    rng = np.random.default_rng(seed)
    flips = np.cumsum(rng.random((streams, length)) < 1 / mean_length, axis=1) + rng.integers(0, 2, (streams, 1))
    return (rng.random((streams, length)) < np.where(flips % 2, 0.15, 0.05)).astype(float)


def run_lengths(threshold: float, runs: int, seed: int) -> np.ndarray:
    return first_alarms(threshold, runs, 0.10, 1000, np.random.default_rng(seed))


def first_alarms(threshold: float, runs: int, error: float, chunk: int, rng: np.random.Generator) -> np.ndarray:
    """Rows until the first alarm, of each run."""
    lengths = []
    for _ in range(runs):
        state, total, alarms = ErrorDetector.start(0.10, threshold), 0, []
        while not alarms:
            state, alarms = state.update((rng.random(chunk) < error).astype(float))
            total += alarms[0] + 1 if alarms else chunk
        lengths.append(total)
    return np.asarray(lengths, dtype=float)


def delays(truth: float, runs: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return first_alarms(1000.0, runs, truth, 200, rng)


def test_null_streams_quick() -> None:
    streams = null_streams(200, 1500, 1)
    assert max(false_alarms(streams).values()) <= allowed(200)


def test_a_bet_that_peeks_fails_quick() -> None:
    assert peeking_alarms(null_streams(200, 1500, 1)) > allowed(200)


def test_run_length_quick() -> None:
    lengths = run_lengths(200.0, 150, 2)
    assert lengths.mean() + 3 * lengths.std() / np.sqrt(150) >= 200


def test_the_point_estimate_as_null_fails_where_the_upper_bound_holds() -> None:
    rng = np.random.default_rng(3)
    plug_in = bounded = 0
    for x in null_streams(150, 3000, 4):
        errors = int(rng.binomial(500, 0.10))
        plug_in += EProcess.start(errors / 500).update(x).peak >= np.log(1 / ALPHA)
        bounded += EProcess.start(null_error(errors, 500, 0.01)).update(x).peak >= np.log(1 / ALPHA)
    assert plug_in > allowed(150, 0.05)
    assert bounded <= allowed(150, 0.06)


def test_block_means_survive_regimes_that_break_raw_rows() -> None:
    raw = blocked = 0
    m0 = 0.12
    for x in regimes(60, 8000, 200, 5):
        raw += EProcess.start(0.10).update(x).peak >= np.log(1 / ALPHA)
        blocked += EProcess.start(m0).update(x.reshape(-1, 200).mean(axis=1)).peak >= np.log(1 / ALPHA)
    assert raw > allowed(60)
    assert blocked <= allowed(60)


@pytest.mark.prove
def test_null_streams_and_mutant(prove_table: Callable[..., None]) -> None:
    streams = null_streams(1000, 5000, 11)
    counts = false_alarms(streams)
    chances = np.where(np.arange(5000) // 50 % 2, 0.10, 0.05)
    oscillating = (np.random.default_rng(12).random((1000, 5000)) < chances).astype(float)
    moving = false_alarms(oscillating)
    mutant = peeking_alarms(streams)
    found = [(name, "null .10", n) for name, n in counts.items()]
    found += [(name, "null .05/.10", n) for name, n in moving.items()]
    found += [("mutant that peeks", "null .10", mutant)]
    rows = [{"bet": b, "stream": s, "false alarms of 1000": n, "allowed": allowed(1000)} for b, s, n in found]
    prove_table("bets-null-streams", rows)
    assert max(counts.values()) <= allowed(1000)
    assert max(moving.values()) <= allowed(1000)
    assert min(counts.values()) >= 1000 * ALPHA / 20
    assert mutant > allowed(1000)


@pytest.mark.prove
def test_median_stopping_times(prove_table: Callable[..., None]) -> None:
    rng = np.random.default_rng(13)
    rows = []
    for truth, published in ((0.12, 1564), (0.15, 274), (0.20, 73)):
        times = []
        for _ in range(400):
            path = EProcess.start(0.10).path((rng.random(12_000) < truth).astype(float))
            times.append(int(np.argmax(path >= np.log(1 / ALPHA))) + 1 if path.max() >= np.log(1 / ALPHA) else 12_000)
        rows.append({"true error": truth, "median rows to alarm": float(np.median(times)), "METHODS 1a": published})
        assert np.median(times) == pytest.approx(published, rel=0.2)
    prove_table("bets-stopping-times", rows)


@pytest.mark.prove
def test_average_run_length_and_delay(prove_table: Callable[..., None]) -> None:
    lengths = run_lengths(1000.0, 600, 14)
    se = lengths.std() / np.sqrt(len(lengths))
    rows = [{"case": "no change: average run length at A = 1000", "steps": float(lengths.mean()), "se": float(se)}]
    for truth in (0.12, 0.15, 0.20, 0.30):
        found = delays(truth, 300, 15)
        se_delay = float(found.std() / 300**0.5)
        rows.append({"case": f"median delay at error {truth}", "steps": float(np.median(found)), "se": se_delay})
    prove_table("e-detector-run-lengths", rows)
    assert lengths.mean() + 3 * se >= 1000
