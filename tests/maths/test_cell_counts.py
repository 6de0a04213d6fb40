"""Counts of cells: against SciPy's laws and a plain loop, and what the limits promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom
from scipy.stats.contingency import odds_ratio

from backstay.kernel.errors import BackstayError
from backstay.maths.cell_counts import Table, benjamini_hochberg, tables


@st.composite
def any_table(draw):
    rows_before, rows_now = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    return Table(draw(st.integers(0, rows_before)), rows_before, draw(st.integers(0, rows_now)), rows_now)


@given(any_table())
def test_the_chance_is_twice_the_smaller_tail_of_the_hypergeometric_law(table):
    law = hypergeom(table.rows_before + table.rows_now, table.before + table.now, table.rows_now)
    expected = min(1.0, 2.0 * min(law.cdf(table.now), law.sf(table.now - 1)))
    assert table.p_value == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(any_table(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_limits_leave_out_1_exactly_where_the_test_rejects(table, level):
    low, high = table.ratio(level)
    rejected = table.p_value < 1.0 - level
    if abs(table.p_value - (1.0 - level)) > 1e-6:
        assert (not low <= 1.0 <= high) == rejected
    if table.before and table.now:
        observed = table.now * table.rows_before / (table.before * table.rows_now)
        assert low <= observed * (1 + 1e-6)
        assert high >= observed * (1 - 1e-6)


def test_of_rare_cells_the_limits_are_those_of_the_odds_ratio():
    table = Table(20, 20_000, 30, 10_000)
    expected = odds_ratio([[30, 9970], [20, 19_980]]).confidence_interval(0.95)
    assert table.ratio() == pytest.approx(tuple(expected), rel=0.01)


def test_limits_hold_the_true_ratio_as_often_as_they_say():
    """Exactly, over all pairs of counts that are at all likely."""
    for before, now in ((0.03, 0.06), (0.3, 0.15)):
        rows_before, rows_now, inside = 100, 60, 0.0
        likely = [
            np.flatnonzero(binom.pmf(np.arange(n + 1), n, p) > 1e-3)
            for n, p in ((rows_before, before), (rows_now, now))
        ]
        for b in likely[0].tolist():
            for a in likely[1].tolist():
                low, high = Table(b, rows_before, a, rows_now).ratio(0.9)
                chance = binom.pmf(b, rows_before, before) * binom.pmf(a, rows_now, now)
                inside += chance * (low <= now / before <= high)
        assert inside >= 0.9 - 0.02


def test_a_cell_that_was_empty_or_is_empty():
    low, high = Table(0, 1000, 20, 500).ratio()
    assert low > 5
    assert high == np.inf
    assert Table(20, 1000, 0, 500).ratio().low == 0.0
    assert Table(0, 100, 0, 100).p_value == 1.0


@pytest.mark.parametrize("counts", [(2, 1, 0, 1), (0, 1, 2, 1), (-1, 5, 0, 5), (0, 0, 0, 5)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(BackstayError, match="cannot be"):
        Table(*counts)


def test_tables_of_all_cells():
    found = tables(np.array([3, 7]), np.array([1, 4]))
    assert found == (Table(3, 10, 1, 5), Table(7, 10, 4, 5))


@given(st.lists(st.floats(1e-9, 1.0), max_size=30), st.sampled_from([0.05, 0.1, 0.5]))
def test_benjamini_and_hochberg_by_a_plain_loop(values, level):
    ordered = sorted(values)
    largest = max((k for k in range(1, len(values) + 1) if ordered[k - 1] <= level * k / len(values)), default=0)
    found = benjamini_hochberg(np.array(values), level)
    assert found.sum() == largest
    assert sorted(np.array(values)[found].tolist()) == ordered[:largest]
