"""The arithmetic of the scoreboard of monitors."""

from __future__ import annotations

import json
import sys
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


def test_questions_are_put_together_by_tool_and_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board.runs import Run, Tool, _batches

    one, two = (Tool(name, name, Path(sys.executable)) for name in ("one", "two"))
    runs = [Run.of(tool, "tables", seed=seed) for seed in range(3) for tool in (one, two)]
    found = [[(run.tool.name, json.loads(run.given)["seed"]) for run in batch] for batch in _batches(runs, 2)]
    assert found == [[("one", 0), ("one", 1)], [("two", 0), ("two", 1)], [("one", 2)], [("two", 2)]]
    assert len(_batches(runs, 1)) == len(runs)


def test_what_a_process_answered_before_it_failed_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board import runs

    (tmp_path / "side.py").write_text(
        "print('a library speaks')\nprint('{\"peak\": 1}')\nraise ValueError('no more')\n"
    )
    monkeypatch.setattr(runs, "HERE", tmp_path)
    asked = [runs.Run.of(runs.Tool("one", "one", Path(sys.executable)), "tables", seed=seed) for seed in range(3)]
    assert list(runs._ask(asked, 30.0)) == [(asked[0], {"peak": 1}), (asked[1], {"failed": "ValueError: no more"})]


def _results(**pair: object) -> dict[str, object]:
    told = {"difference": 0.1, "low": 0.02, "high": 0.2, "seeds": 10, "verdict": "superior", "reference": 1000}
    return {
        "asked": {"seeds": 10, "our_seeds": 50, "windows": 200},
        "tables": {"lines": [], "pairs": [told | {"change": change} | pair for change in ("shift 0.1", "new cluster")]},
    }


def test_goals_are_kept_missed_or_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board.goals import KEPT, MISSED, OPEN, goals

    def verdicts_of(results: dict[str, object]) -> list[str]:
        return [goal.verdict for goal in goals(results)]

    assert verdicts_of(_results()) == [KEPT, KEPT, OPEN, OPEN, OPEN]
    # Of the four hard changes two were not run: they may still be found better.
    assert verdicts_of(_results(verdict="worse", high=-0.01)) == [MISSED, OPEN, OPEN, OPEN, OPEN]
    assert verdicts_of(_results(seeds=3, verdict="too few seeds (3)")) == [OPEN] * 5
    cost = {"kind": "columns_cost", "rows": 1_000_000, "tool": "backstay", "over_alibi": 0.9, "cpu": 2.0, "rounds": 3}
    for peak, verdict in ((599, KEPT), (600, MISSED)):
        assert verdicts_of({"costs": {"lines": [cost | {"peak_mb": peak}]}})[-1] == verdict


def test_the_page_is_made_of_the_kept_figures_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board import render

    results = json.loads((BENCH / "results" / "scoreboard.json").read_text())
    assert render.scoreboard(results) == (BENCH.parent / "docs" / "scoreboard.md").read_text()


def test_few_windows_refute_nothing_and_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from board.goals import KEPT, MISSED, NOT_REFUTED, NOT_SHOWN, goals

    pair = {"difference": 0.0, "low": -0.1, "high": 0.1, "seeds": 10, "verdict": "not significantly different"}
    pairs = [pair | {"reference": 1000, "change": c} for c in ("shift 0.1", "new cluster", "prior shift")]
    for seeds, verdicts in ((50, [KEPT, KEPT, MISSED]), (49, [NOT_REFUTED, NOT_REFUTED, NOT_SHOWN])):
        null = {"seeds": seeds, "windows": 200 * seeds, "default": 0.04, "default_se": 0.01}
        line = {"tool": "backstay", "method": "at the level", "reference": 1000, "changes": {"null": null}}
        results = {
            "asked": {"seeds": 10, "our_seeds": 50, "windows": 200},
            "tables": {"level": 0.05, "lines": [line], "pairs": pairs},
            "concept": {"pairs": [pair | {"labels": 100}]},
        }
        assert [goal.verdict for goal in goals(results)][:3] == verdicts
