"""The arithmetic of the scoreboard of monitors."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    from board import verdicts

    return verdicts


def test_the_threshold_is_passed_by_no_more_windows_than_the_level(verdicts: ModuleType) -> None:
    rng = np.random.default_rng(1)
    scores = np.round(rng.random(400), 1)  # many ties
    limit = verdicts.threshold({0: (scores[:200], scores[:200] > 2), 1: (scores[200:], scores[200:] > 2)}, 0.05)
    assert np.mean(scores > limit) <= 0.05
    assert np.mean(scores >= limit) > 0.05


def test_delay_is_the_mean_wait_over_all_beginnings(verdicts: ModuleType) -> None:
    said = np.random.default_rng(2).random(60) < 0.3
    ring = np.concatenate([said, said])
    waits = [int(np.argmax(ring[begin:])) + 1 for begin in range(60)]
    assert verdicts.delay({0: said}) == pytest.approx(np.mean(waits))
    assert verdicts.delay({0: np.zeros(10, dtype=bool)}) == verdicts.LONGEST


def test_pairs_tell_better_from_worse_and_from_chance(verdicts: ModuleType) -> None:
    rng = np.random.default_rng(3)
    theirs = {seed: rng.random(100) < 0.5 for seed in range(10)}
    more = {seed: said | (rng.random(100) < 0.4) for seed, said in theirs.items()}
    others = {seed: rng.random(100) < 0.5 for seed in range(10)}
    assert verdicts.pair(more, theirs).verdict == "superior"
    assert verdicts.pair(theirs, more).verdict == "worse"
    assert verdicts.pair(others, theirs).verdict == "not significantly different"
    few = {0: more[0][:30], 1: more[1][:30]}
    found = verdicts.pair(few, theirs)
    assert (found.seeds, found.only_theirs) == (2, 0)
    assert found.only_ours == sum(int(np.sum(few[s] & ~theirs[s][:30])) for s in few)


def test_windows_are_the_same_in_whatever_parts_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board.worlds import TableWorld

    world = TableWorld(4)
    whole = [window.mark() for window in world.windows("prior shift", 0, 6)]
    parts = [window.mark() for first in (0, 3) for window in world.windows("prior shift", first, 3)]
    assert whole == parts
    assert len(set(whole)) == 6
    assert world.reference(50).mark() != TableWorld(5).reference(50).mark()
