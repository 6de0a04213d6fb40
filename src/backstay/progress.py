"""Progress of long work: a bar on a terminal, one structured line a step elsewhere. Always on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from backstay.kernel.ports import Progress, Tick


def reporter(stream: TextIO | None = None) -> Progress:
    """Bars where somebody is looking, lines where a log is kept."""
    out = stream or sys.stderr
    return BarProgress() if out.isatty() else LineProgress(out)


class LineProgress:
    """One JSON line when a step begins and one when it ends: {"event":"step","name":...,"seconds":...}."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return self._step(name, total)

    @contextmanager
    def _step(self, name: str, total: int | None) -> Iterator[Tick]:
        began = time.monotonic()
        done = 0

        said = ""

        def tick(amount: int = 1, note: str = "") -> None:
            nonlocal done, said
            done += amount
            said = note

        yield tick
        self._line(
            {
                "event": "step",
                "name": name,
                "done": done,
                "total": total,
                "seconds": round(time.monotonic() - began, 2),
                **({"note": said} if said else {}),
            }
        )

    def say(self, message: str) -> None:
        self._line({"event": "message", "text": message})

    def _line(self, value: dict[str, object]) -> None:
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()


class BarProgress:
    """A rich progress bar for each step, gone when the step is done."""

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return self._step(name, total)

    @contextmanager
    def _step(self, name: str, total: int | None) -> Iterator[Tick]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total, note="")

            def tick(amount: int = 1, note: str = "") -> None:
                bar.update(task, advance=amount, note=note)

            yield tick

    def say(self, message: str) -> None:
        sys.stderr.write(message + "\n")
