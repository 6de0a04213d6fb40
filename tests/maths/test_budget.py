from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.budget import AlarmBudget, Episodes


@given(
    per_year=st.floats(0.01, 20),
    weights=st.dictionaries(st.text(min_size=1), st.floats(0.1, 10), min_size=1, max_size=6),
    windows=st.integers(90, 400),
)
def test_what_is_spent_is_what_was_budgeted(per_year: float, weights: dict[str, float], windows: int) -> None:
    budget = AlarmBudget(per_year, weights)
    names = sorted(weights)
    tests = {name: (float(windows), budget.window_alpha(name, windows)) for name in names[1:]}
    steps = {names[0]: (1e5, budget.detector_threshold(names[0], 1e5))}
    capped = any(budget.share(name) / windows > 0.25 for name in names)
    spent = AlarmBudget.spent(tests, steps)
    assert spent == pytest.approx(per_year) or (capped and spent < per_year)


def test_a_family_shares_evenly() -> None:
    family = AlarmBudget(1.0, {"a": 1.0, "columns": 3.0}).family("columns", 14)
    assert family.per_year == 0.75
    assert family.window_alpha("13", 52) == pytest.approx(0.75 / 14 / 52)


def test_bad_budgets_and_unknown_names_are_refused() -> None:
    with pytest.raises(BackstayError, match=r"'embeding'.*did you mean 'embedding'"):
        AlarmBudget(1.0, {"embedding": 1.0}).share("embeding")
    for per_year, weights in ((0.0, {"a": 1.0}), (1.0, {}), (1.0, {"a": 0.0}), (float("nan"), {"a": 1.0})):
        with pytest.raises(BackstayError, match="budget"):
            AlarmBudget(per_year, weights)
    with pytest.raises(BackstayError, match="windows a year"):
        AlarmBudget(1.0, {"a": 1.0}).window_alpha("a", 0)


@given(alarms=st.lists(st.booleans(), max_size=40), quiet=st.integers(1, 4))
def test_episodes_match_a_plain_loop(alarms: list[bool], quiet: int) -> None:
    state, opened = Episodes(quiet=quiet), 0
    last: int | None = None
    for i, alarm in enumerate(alarms):
        state, new = state.look(alarm)
        expected = alarm and (last is None or i - last > quiet)
        assert new == expected
        opened += new
        last = i if alarm else last
        assert Episodes.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert state.count == opened


def test_a_release_closes_the_episode() -> None:
    state, _ = Episodes(quiet=5).look(True)
    assert state.release().look(True)[1]
    assert not state.look(True)[1]
