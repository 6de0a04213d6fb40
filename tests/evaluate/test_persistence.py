"""The newest row before each moment, against a plain loop, and what is answered from it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backstay.evaluate.persistence import last_known, newest_before

moments = st.integers(0, 6)
codes = st.integers(-1, 2)


def slow(times, asked, groups=None, asked_groups=None) -> list[int]:
    found = []
    for row, moment in enumerate(asked):
        before = [i for i, t in enumerate(times) if t < moment]
        if groups is not None and asked_groups[row] >= 0:
            before = [i for i in before if groups[i] == asked_groups[row]] or before
        found.append(max(before, key=lambda i: (times[i], i), default=-1))
    return found


@given(st.data(), st.integers(0, 8), st.integers(0, 5))
def test_it_is_what_a_plain_loop_finds(data, n: int, m: int) -> None:
    times, asked = (data.draw(arrays(np.int64, size, elements=moments)) for size in (n, m))
    assert newest_before(times, asked).tolist() == slow(times, asked)
    groups, asked_groups = (data.draw(arrays(np.int64, size, elements=codes)) for size in (n, m))
    assert newest_before(times, asked, groups, asked_groups).tolist() == slow(times, asked, groups, asked_groups)


def test_real_moments_do_not_overflow() -> None:
    times = np.array([1, 2, 3], dtype=np.int64) * 1_700_000_000_000_000
    assert newest_before(times, times, np.array([0, 1, 0]), np.array([0, 1, 0])).tolist() == [-1, 0, 0]


def test_where_nothing_was_known_the_usual_answer_stands() -> None:
    usual = np.array([7, 7, 7])
    assert last_known(np.array([4, 5]), np.array([-1, 1, 0]), usual).tolist() == [7, 5, 4]
    assert last_known(np.array([], dtype=np.int64), np.array([-1, -1, -1]), usual).tolist() == [7, 7, 7]
    assert last_known(np.array([0.5]), np.array([0]), np.array([1.0])).tolist() == [0.5]
