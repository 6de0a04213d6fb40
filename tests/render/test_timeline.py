from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.records import Signal
from backstay.render.charts import describe, lanes, timeline_figure
from backstay.render.timeline import Mark, Timeline, build_timeline


def test_everything_lands_in_its_place(timeline):
    assert len(timeline.windows) == len(timeline.truth) == 24
    assert [series.detector for series in timeline.evidence] == ["embedding", "labelled_error", "prediction"]
    kinds = [mark.kind for mark in timeline.marks]
    assert kinds == ["adopted", "alarm", "labels", "labels", "promoted", *["refused"] * 3, "alarm", *["rollback"] * 2]
    assert sum(point.kind == "refused" for point in timeline.estimates) == 3
    assert all(point.value is None for point in timeline.estimates if point.kind == "refused")


def test_order_of_results_does_not_matter(results, releases, ledger_rows):
    assert build_timeline(results, releases, ledger_rows) == build_timeline(results[::-1], releases[::-1], ledger_rows)


def test_figures_are_byte_identical_and_distinct_by_width(timeline):
    wide = timeline_figure(timeline)
    assert wide == timeline_figure(timeline)
    assert timeline_figure(timeline, narrow=True) != wide
    assert "var(--blue" in wide
    assert "<title>alarm, 16 Mar 2026" in wide
    assert wide.startswith("<svg role=")


def test_nothing_to_show_is_no_figure():
    assert timeline_figure(Timeline()) == ""
    assert build_timeline([]).empty


def test_one_mark_or_one_window_is_enough(results, releases):
    assert "<svg" in timeline_figure(build_timeline([], releases[:1]))
    assert "<svg" in timeline_figure(build_timeline(results[:1]))
    assert "<svg" in timeline_figure(build_timeline([replace(results[0], signals=(), estimates=())]))


@pytest.mark.parametrize("evidence", [float("nan"), float("inf"), 0.0, -1.0, 1e-30])
def test_extreme_evidence_can_be_drawn(results, evidence):
    odd = replace(results[0], signals=(Signal("d", evidence, False, 0.0, 0, ""),))
    assert "nan" not in timeline_figure(build_timeline([odd, results[1]]))


def test_titles_and_descriptions_are_escaped(results):
    line = replace(build_timeline(results[:2]), marks=(Mark(results[0].start, "alarm", '<b>"&'),))
    svg = timeline_figure(line)
    assert "<b>" not in svg
    assert "&lt;b&gt;&quot;&amp;" in svg


def test_the_figure_is_told_in_words(timeline):
    assert "true accuracy between 79.0% and 96.2%" in describe(timeline)
    assert "3 estimates refused" in describe(timeline)


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0.1, 10))
def test_marks_in_one_lane_never_overlap(times, least):
    times = sorted(times)
    found = lanes(times, least)
    for lane in set(found):
        mine = [time for time, where in zip(times, found, strict=True) if where == lane]
        assert all(b - a >= least for a, b in pairwise(mine))
    assert set(found) == set(range(max(found, default=-1) + 1))
