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


EVERY_SECONDS = 10.0


class LineProgress:
    """One JSON line when a step has ended, {"event":"step","name":...,"seconds":...}, and of one that takes longer
    every ten seconds where it is, {"event":"progress",...}, with the figures that it tells (loss, speed, time left)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return self._step(name, total)

    @contextmanager
    def _step(self, name: str, total: int | None) -> Iterator[Tick]:
        began = told = time.monotonic()
        done, said = 0, ""
        latest: dict[str, float] = {}

        def line(event: str) -> None:
            seconds = round(time.monotonic() - began, 2)
            more = {**({"note": said} if said else {}), **({"figures": latest} if latest else {})}
            self._line({"event": event, "name": name, "done": done, "total": total, "seconds": seconds, **more})

        def tick(amount: int = 1, note: str = "", **figures: float) -> None:
            nonlocal done, said, latest, told
            done, said, latest = done + amount, note, figures
            if time.monotonic() - told >= EVERY_SECONDS and (total is None or done < total):
                told = time.monotonic()
                line("progress")

        yield tick
        line("step")

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

            def tick(amount: int = 1, note: str = "", **_figures: float) -> None:
                bar.update(task, advance=amount, note=note)

            yield tick

    def say(self, message: str) -> None:
        sys.stderr.write(message + "\n")
