"""What is remembered of rows for figures beside accuracy."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np

from backstay.monitor.memory import LabelPoint
from backstay.monitor.newest import in_proportion
from backstay.monitor.row_memory import RowMemory, RowPool


def test_json_and_back_is_exact_and_empty_without_any(begin):
    pool = RowPool.of(begin, np.random.default_rng(0).normal(size=(7, 3)))
    memory = RowMemory().add("classes", {"a": (1.0, 1 / 3)}, pool)
    assert RowMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert RowMemory.from_json(None) == RowMemory()


def test_another_kind_begins_anew_and_what_is_known_stays(begin):
    memory = RowMemory().add("classes", {"a": (1.0,)}, None).add("classes", {"a": (2.0,), "b": (3.0,)}, None)
    assert memory.labelled == {"a": (1.0,), "b": (3.0,)}
    assert memory.add("errors", {"c": (0.5,)}, None).labelled == {"c": (0.5,)}


def test_only_what_labels_and_windows_are_left_of_is_kept(begin):
    later = begin + timedelta(days=7)
    memory = RowMemory("k", {"a": (1.0,), "b": (2.0,)}, tuple(RowPool.of(at, np.ones((2, 1))) for at in (begin, later)))
    kept = memory.only(["b", "c"], [later])
    assert (dict(kept.labelled), [pool.start for pool in kept.pools]) == ({"b": (2.0,)}, [later])


def test_unlabelled_rows_are_taken_in_proportion_to_labels(begin):
    ends = [begin + timedelta(days=7), begin + timedelta(days=14), begin + timedelta(days=21)]
    points = [LabelPoint(str(i), begin + timedelta(days=8 if i < 30 else 15), True, None) for i in range(40)]
    taken = in_proportion([100, 60, 100], ends, points)
    assert [len(rows) for rows in taken] == [0, 60, 20]
    assert taken[1].tolist() == list(range(60))
    assert in_proportion([], [], points) == []
