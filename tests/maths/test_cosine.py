"""Nearest rows by cosine against a plain loop, whatever the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths import cosine
from backstay.maths.cosine import nearest_by_cosine, unit_rows


def by_loop(gallery: np.ndarray, query: np.ndarray, k: int) -> list[tuple[int, float]]:
    """Every cosine, one by one; equal ones by row number."""
    scored = []
    for place, row in enumerate(gallery.astype(np.float64)):
        scored.append((-math.fsum(a * b for a, b in zip(row, query.astype(np.float64), strict=True)), place))
    return [(place, -score) for score, place in sorted(scored)[:k]]


@pytest.mark.parametrize(("gallery_block", "query_block"), [(16_384, 256), (7, 3), (1, 1)])
def test_it_is_what_a_loop_finds(monkeypatch, gallery_block, query_block):
    monkeypatch.setattr(cosine, "GALLERY_BLOCK", gallery_block)
    monkeypatch.setattr(cosine, "QUERY_BLOCK", query_block)
    rng = np.random.default_rng(0)
    gallery, queries = unit_rows(rng.normal(size=(50, 6)), "row"), unit_rows(rng.normal(size=(8, 6)), "query")
    places, cosines = nearest_by_cosine(gallery, queries, 5)
    for row, query in enumerate(queries):
        wanted = by_loop(gallery, query, 5)
        assert places[row].tolist() == [p for p, _ in wanted]
        assert cosines[row] == pytest.approx([c for _, c in wanted], abs=1e-12)


def test_equal_rows_come_in_their_order(monkeypatch):
    monkeypatch.setattr(cosine, "GALLERY_BLOCK", 2)
    gallery = unit_rows(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), "row")
    places, cosines = nearest_by_cosine(gallery, np.array([[1.0, 0.0]]), 4)
    assert places.tolist() == [[1, 2, 3, 0]]
    assert cosines.tolist() == [[1.0, 1.0, 1.0, 0.0]]


def test_the_order_is_that_of_double_precision():
    rng = np.random.default_rng(1)
    query = unit_rows(rng.normal(size=(1, 64)), "query")
    gallery = unit_rows(query + 1e-4 * rng.normal(size=(6, 64)), "row")
    places, _ = nearest_by_cosine(gallery, query, 6)
    assert places[0].tolist() == [p for p, _ in by_loop(gallery, query[0], 6)]


def test_a_small_gallery_gives_all_its_rows():
    assert nearest_by_cosine(np.eye(2, dtype=np.float32), np.eye(2)[:1], 10)[0].tolist() == [[0, 1]]


def test_a_row_without_direction_is_named():
    with pytest.raises(BackstayError, match="row 1 has no direction"):
        unit_rows(np.array([[1.0, 0.0], [0.0, 0.0]]), "row")
    with pytest.raises(BackstayError, match="query 0 has no direction"):
        unit_rows(np.array([[np.nan, 0.0]]), "query")


def test_another_width_and_an_empty_gallery_are_refused():
    with pytest.raises(BackstayError, match="3 numbers a row"):
        nearest_by_cosine(np.eye(3, dtype=np.float32), np.eye(2), 1)
    with pytest.raises(BackstayError, match="gallery of 0 rows"):
        nearest_by_cosine(np.zeros((0, 2), np.float32), np.eye(2), 1)
    with pytest.raises(BackstayError, match="0 nearest"):
        nearest_by_cosine(np.eye(2, dtype=np.float32), np.eye(2), 0)
