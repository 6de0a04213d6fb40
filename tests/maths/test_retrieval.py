from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths import retrieval as module
from backstay.maths.retrieval import retrieval


def plain(points: list[list[float]], labels: list[int], groups: list[int]) -> dict[int, tuple[float, float]]:
    """Recall@1 and average precision at R of each query; of equally far rows the wrong ones come first."""
    found = {}
    for i, (query, label) in enumerate(zip(points, labels, strict=True)):
        others = [j for j in range(len(points)) if groups[j] != groups[i]]
        r = sum(labels[j] == label for j in others)
        if r == 0:
            continue
        ranked = sorted(
            others, key=lambda j: (sum((a - b) ** 2 for a, b in zip(query, points[j], strict=True)), labels[j] == label)
        )
        hits = [labels[j] == label for j in ranked]
        precision = sum(sum(hits[: k + 1]) / (k + 1) for k in range(r) if hits[k]) / r
        found[i] = (float(hits[0]), precision)
    return found


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2), st.integers(0, 6)), max_size=25),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_figures_equal_a_plain_loop_with_ties_and_groups(rows: list[tuple[int, int, int, int]], grouped: bool) -> None:
    points = [[float(a), float(b)] for a, b, _, _ in rows]
    labels = [r[2] for r in rows]
    groups = [r[3] for r in rows] if grouped else list(range(len(rows)))
    want = plain(points, labels, groups)
    got = retrieval(
        np.array(points, dtype=np.float32).reshape(-1, 2),
        np.array(labels, dtype=np.int64),
        groups=np.array(groups, dtype=np.int64) if grouped else None,
    )
    assert got.queries.tolist() == sorted(want)
    assert got.hit.tolist() == [want[i][0] for i in got.queries]
    assert got.precision == pytest.approx([want[i][1] for i in got.queries])


@pytest.mark.parametrize("within", [1, 2, 5, 40])
def test_queries_and_depth_are_as_asked(within: int) -> None:
    rng = np.random.default_rng(4)
    points, labels, asked = rng.normal(size=(40, 3)), rng.integers(0, 9, 40), rng.random(40) < 0.4
    groups = rng.integers(0, 15, 40)
    got = retrieval(points, labels, groups=groups, asked=asked, within=within)
    want: dict[int, float] = {}
    for i in np.flatnonzero(asked):
        others = [j for j in range(40) if not asked[j] and groups[j] != groups[i]]
        if labels[i] in labels[others]:
            ranked = sorted(others, key=lambda j: float(((points[i] - points[j]) ** 2).sum()))
            want[int(i)] = float(labels[i] in labels[ranked[:within]])
    assert dict(zip(got.queries.tolist(), got.hit.tolist(), strict=True)) == want
    assert want


def test_classes_apart_score_one() -> None:
    labels = np.repeat(np.arange(4), 10)
    points = np.eye(4)[labels] + 0.01 * np.random.default_rng(0).normal(size=(40, 4))
    got = retrieval(points, labels)
    assert got.hit.mean() == got.precision.mean() == 1.0


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_an_encoder_that_maps_all_to_one_point_scores_nothing(offset: float) -> None:
    point = offset + np.random.default_rng(1).normal(size=64)
    collapsed = np.tile(point, (3000, 1)).astype(np.float32)
    got = retrieval(collapsed, np.arange(3000) % 3)
    assert got.hit.max() == got.precision.max() == 0.0


def test_noise_of_float32_is_not_information() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(600) % 3
    whispered = (1.0 + 3e-8 * labels[:, None] + 1e-9 * rng.normal(size=(600, 8))).astype(np.float64)
    assert retrieval(whispered, labels).hit.max() == 0.0


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    points, labels = rng.normal(size=(300, 5)), rng.integers(0, 4, 300)
    whole = retrieval(points, labels)
    monkeypatch.setattr(module, "BLOCK_PAIRS", 900)
    cut = retrieval(points, labels)
    assert cut.precision.tolist() == whole.precision.tolist()
    assert cut.hit.tolist() == whole.hit.tolist()


def test_many_rows_are_thinned_the_same_way_each_time_and_memory_stays_bounded() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 30_000)
    points = rng.normal(size=(30_000, 4)).astype(np.float32) + labels[:, None]
    tracemalloc.start()
    first = retrieval(points, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first.queries) == module.MOST_PAIRS // module.MOST_GALLERY
    assert peak < 200e6  # all pairs of the gallery alone would be 3.2 GB
    assert retrieval(points, labels).queries.tolist() == first.queries.tolist()


def test_rows_without_a_fellow_are_no_queries() -> None:
    assert retrieval(np.arange(3.0)[:, None], np.array([0, 1, 2])).queries.tolist() == []
    assert retrieval(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)).hit.shape == (0,)
    same_group = retrieval(np.arange(4.0)[:, None], np.array([0, 0, 1, 1]), groups=np.array([0, 0, 1, 1]))
    assert len(same_group.queries) == 0


def test_what_is_no_embedding_is_refused() -> None:
    with pytest.raises(BackstayError, match="shape"):
        retrieval(np.zeros(4), np.zeros(4, dtype=np.int64))
    with pytest.raises(BackstayError, match="NaN"):
        retrieval(np.array([[0.0], [np.nan]]), np.array([0, 0]))
