"""Batches without a timer: each request gets its own rows, and no failure of one hurts another or the thread."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from backstay.bundle.model import Outputs
from backstay.kernel.errors import BackstayError
from backstay.serve.batcher import MOST_WAITING_RUNS, Batcher
from backstay.serve.metrics import Metrics
from backstay.serve.problems import Problem
from backstay.serve.protocol import Question


class Echo:
    """Answers each row with itself; refuses negative ones; can be held up."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, arrays):
        values = arrays["x"]
        self.gate.wait(10)
        self.sizes.append(len(values))
        if (values < 0).any():
            raise BackstayError("a row is negative", fix="send others")
        labels = np.array([str(int(v)) for v in values[:, 0]], dtype=object)
        return Outputs(labels, values.astype(np.float32), None)


@dataclass
class FakeLoaded:
    model: Echo


def question(*values: float, width: int = 1) -> Question:
    array = np.repeat(np.array(values, np.float32)[:, None], width, axis=1)
    return Question(None, {"x": array}, len(values), None, None, {}, {}, probe=False)


def run(questions, *, max_rows=64, record=None, refuse=True, models=None):
    """Ask all at once; answers results or exceptions, the sizes of the runs, and the loaded model.

    `models` has one for each question, where they are not of the same.
    """
    loaded = FakeLoaded(Echo()) if models is None else models[0]
    written = []
    batcher = Batcher(record or written.extend, Metrics(), max_rows=max_rows, refuse_unlogged=refuse)

    async def ask_all():
        loaded.model.gate.clear()
        tasks = []
        for q, own in zip(questions, models or [loaded] * len(questions), strict=True):
            tasks.append(asyncio.create_task(batcher.ask(q, own, [])))
            # The first one is under way before the others come.
            await asyncio.sleep(0.05 if len(tasks) == 1 else 0)
        loaded.model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        return asyncio.run(ask_all()), loaded.model.sizes, written
    finally:
        batcher.close()


def test_what_arrives_while_a_batch_runs_is_the_next_batch():
    found, sizes, written = run([question(float(i)) for i in range(10)])
    assert [outputs.labels.tolist() for outputs, _ in found] == [[str(i)] for i in range(10)]
    assert sizes == [1, 9]
    assert len(written) == 10


def test_each_request_of_a_batch_gets_all_of_its_own_rows():
    asked = [(0.0,), (1.0, 2.0), (3.0, 4.0, 5.0), (6.0,)]
    found, sizes, _ = run([question(*rows) for rows in asked])
    assert [outputs.labels.tolist() for outputs, _ in found] == [[str(int(v)) for v in rows] for rows in asked]
    assert sizes == [1, 6]


def test_requests_of_two_releases_are_answered_by_their_own_models():
    first, second = FakeLoaded(Echo()), FakeLoaded(Echo())
    found, _, _ = run([question(float(i)) for i in range(4)], models=[first, first, second, second])
    assert [outputs.labels.tolist() for outputs, _ in found] == [["0"], ["1"], ["2"], ["3"]]
    assert (first.model.sizes, second.model.sizes) == ([1, 1], [2])


def test_batches_are_bounded_and_big_requests_are_cut():
    _, sizes, _ = run([question(*[1.0] * 3) for _ in range(9)], max_rows=8)
    assert max(sizes[1:]) == 6
    found, sizes, _ = run([question(*[float(i) for i in range(600)])])
    assert sizes == [256, 256, 88]
    assert found[0][0].labels.tolist() == [str(i) for i in range(600)]


def test_rows_of_another_shape_run_apart():
    found, _, _ = run([question(1.0), question(2.0, width=3), question(3.0)])
    assert [outputs.scores.shape for outputs, _ in found] == [(1, 1), (1, 3), (1, 1)]


def test_one_bad_request_spoils_no_other():
    found, _, written = run([question(0.0), question(1.0), question(-1.0), question(2.0)])
    assert isinstance(found[2], Problem)
    assert found[2].status == 400
    assert [outputs.labels[0] for outputs, _ in (found[0], found[1], found[3])] == ["0", "1", "2"]
    assert len(written) == 3


@pytest.mark.parametrize("error", [BackstayError("no clock", fix="mend it"), ValueError("strange")])
def test_a_log_that_fails_in_any_way_refuses_and_the_thread_lives(error):
    calls = []

    def record(_):
        calls.append(1)
        if len(calls) == 1:
            raise error

    found, _, _ = run([question(1.0), question(2.0)], record=record)
    assert isinstance(found[0], Problem)
    assert found[0].status == 507
    assert found[1][1] is True


def test_answering_unlogged_is_marked():
    def record(_):
        raise BackstayError("full", fix="free some")

    found, _, _ = run([question(1.0)], record=record, refuse=False)
    assert found[0][1] is False


def test_too_many_waiting_rows_are_turned_away():
    many = [question(1.0, 1.0, 1.0, 1.0) for _ in range(MOST_WAITING_RUNS + 10)]
    found, _, _ = run(many, max_rows=4)
    refused = [f for f in found if isinstance(f, Problem)]
    assert refused
    assert {f.status for f in refused} == {503}
    assert len(found) - len(refused) >= MOST_WAITING_RUNS


def test_rows_that_were_answered_wait_no_longer():
    batcher = Batcher(lambda _: None, Metrics(), max_rows=1, refuse_unlogged=True)

    async def ask_one_by_one():
        for _ in range(MOST_WAITING_RUNS // 3 + 5):
            await batcher.ask(question(1.0, 1.0, 1.0, 1.0), loaded, [])

    loaded = FakeLoaded(Echo())
    try:
        asyncio.run(ask_one_by_one())
    finally:
        batcher.close()
