"""Micro-batches without a timer: a batch is what has arrived while the last one ran. Logged, then answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backstay.bundle.model import Outputs
from backstay.kernel.errors import BackstayError
from backstay.serve.live import Loaded
from backstay.serve.metrics import Metrics
from backstay.serve.problems import Problem
from backstay.serve.protocol import Question

LARGEST_RUN = 256
MOST_WAITING_RUNS = 256


@dataclass(slots=True, eq=False)
class Ticket:
    """A question on its way: which model it is for, and where its answer is awaited."""

    question: Question
    loaded: Loaded
    ids: list[str]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[tuple[Outputs, bool]] = field(repr=False)
    arrived: float = field(default_factory=time.perf_counter)


Record = Callable[[list[tuple[Ticket, Outputs]]], None]


class Batcher:
    """Runs the model in one thread. `record` writes a batch's answers to the log before any of them is given.

    Args:
        refuse_unlogged: what to do when the log cannot be written: refuse (status 507), or answer and count.
    """

    def __init__(self, record: Record, metrics: Metrics, *, max_rows: int, refuse_unlogged: bool) -> None:
        self._record = record
        self._metrics = metrics
        self._max_rows = max_rows
        self._refuse = refuse_unlogged
        self._waiting: deque[Ticket] = deque()
        self._waiting_rows = 0
        self._arrived = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="model")
        self._thread.start()

    async def ask(self, question: Question, loaded: Loaded, ids: list[str]) -> tuple[Outputs, bool]:
        """The answers, and whether they were logged."""
        loop = asyncio.get_running_loop()
        ticket = Ticket(question, loaded, ids, loop, loop.create_future())
        with self._arrived:
            if self._ended:
                raise Problem(503, "the server is stopping", "ask again in a moment")
            if self._waiting_rows > MOST_WAITING_RUNS * self._max_rows:
                raise Problem(503, f"{self._waiting_rows} rows are waiting already", "ask again in a moment")
            self._waiting.append(ticket)
            self._waiting_rows += question.rows
            self._arrived.notify()
        return await ticket.future

    def close(self) -> None:
        """Answer what has arrived, then end."""
        with self._arrived:
            self._ended = True
            self._arrived.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._arrived:
                while not self._waiting and not self._ended:
                    self._arrived.wait()
                if not self._waiting:
                    return
                batch = self._next()
            self._answer(batch)

    def _next(self) -> list[Ticket]:
        """The longest-waiting ticket, and those behind it that fit into one run of the same model."""
        first = self._waiting.popleft()
        batch, rows = [first], first.question.rows
        while self._waiting:
            ticket = self._waiting[0]
            same = ticket.loaded is first.loaded and _shapes(ticket) == _shapes(first)
            if not same or rows + ticket.question.rows > self._max_rows:
                break
            batch.append(self._waiting.popleft())
            rows += ticket.question.rows
        self._waiting_rows -= rows
        return batch

    def _answer(self, batch: list[Ticket]) -> None:
        try:
            answered = list(zip(batch, self._run(batch), strict=True))
        except Exception as error:  # noqa: BLE001 - the thread must live; every waiting request is told
            if len(batch) > 1:
                # One request may have spoilt the run for the others: let each have its own.
                for ticket in batch:
                    self._answer([ticket])
                return
            _tell(
                batch[0],
                Problem(400, str(error)) if isinstance(error, BackstayError) else Problem(500, "the model failed"),
            )
            return
        logged = self._log([pair for pair in answered if not pair[0].question.probe])
        for ticket, outputs in answered:
            if isinstance(logged, Problem) and not ticket.question.probe:
                _tell(ticket, logged)
            else:
                _tell(ticket, (outputs, logged is True and not ticket.question.probe))

    def _log(self, answered: list[tuple[Ticket, Outputs]]) -> bool | Problem:
        rows = sum(ticket.question.rows for ticket, _ in answered)
        if not answered:
            return True
        try:
            self._record(answered)
        except Exception as error:  # noqa: BLE001 - the thread must live; an answer that is not logged is not given
            if self._refuse:
                told, fix = (error.what, error.fix) if isinstance(error, BackstayError) else (str(error), "see its log")
                return Problem(507, f"the answer could not be logged and is therefore not given: {told}", fix)
            self._metrics.unlogged.inc(rows)
            return False
        self._metrics.predictions.inc(rows)
        return True

    def _run(self, batch: list[Ticket]) -> list[Outputs]:
        model = batch[0].loaded.model
        names = list(batch[0].question.arrays)
        joined = {
            n: batch[0].question.arrays[n] if len(batch) == 1 else np.concatenate([t.question.arrays[n] for t in batch])
            for n in names
        }
        rows = sum(t.question.rows for t in batch)
        self._metrics.batch.observe(rows)
        runs = [
            model.run({n: v[start : start + LARGEST_RUN] for n, v in joined.items()})
            for start in range(0, rows, LARGEST_RUN)
        ]
        return _deal(Outputs.joined(runs), [t.question.rows for t in batch])


def _shapes(ticket: Ticket) -> list[tuple[int, ...]]:
    return [values.shape[1:] for values in ticket.question.arrays.values()]


def _deal(outputs: Outputs, sizes: list[int]) -> list[Outputs]:
    """Each request its own rows."""
    dealt, start = [], 0
    for size in sizes:
        dealt.append(outputs.take(slice(start, start + size)))
        start += size
    return dealt


def _tell(ticket: Ticket, result: Any) -> None:
    """Hand a result to the event loop. A loop that has ended has nobody waiting."""

    def deliver() -> None:
        if ticket.future.done():
            return
        if isinstance(result, Problem):
            ticket.future.set_exception(result)
        else:
            ticket.future.set_result(result)

    try:
        ticket.loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        return
