"""The agent: looks again and again, acts where that pays, and tells what it saw. One at a time; safe to kill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from backstay.kernel.errors import BackstayError
from backstay.kernel.faults import told
from backstay.loop.watch import Watched, watch
from backstay.loop.workspace import Workspace

SHORTEST = 1.0


def run_agent(
    ws: Workspace,
    *,
    every_seconds: float,
    tell: Callable[[Watched], None],
    complain: Callable[[BackstayError], None],
    act: bool = True,
    page: Path | None = None,
    metrics: Path | None = None,
    until: threading.Event | None = None,
) -> int:
    """Look every so many seconds until told to stop; answers how many looks were made.

    A look that fails (a log that cannot be read, a challenger that cannot be trained, another agent at work, a fault
    of ours) is told and the next one tried: whoever watches must not stop watching because of it.

    Args:
        every_seconds: pause between two looks, 1 or more.
        until: set it to stop; without it the agent runs until it is interrupted.
    """
    looks = 0

    def look() -> None:
        nonlocal looks
        try:
            watched = watch(ws, act=act, page=page, metrics=metrics)
        except Exception as error:  # noqa: BLE001 - it is told, and whoever watches must go on watching
            complain(told(error))
            return
        tell(watched)
        looks += 1

    again(look, every_seconds=every_seconds, until=until)
    return looks


def again(look: Callable[[], None], *, every_seconds: float, until: threading.Event | None = None) -> None:
    """Call it every so many seconds until told to stop.

    Raises:
        BackstayError: the pause is shorter than a second.
    """
    if not every_seconds >= SHORTEST:
        raise BackstayError(
            f"a look every {every_seconds / 60.0:g} minutes", fix="give a pause of a second (0.02 minutes) or more"
        )
    stop = until or threading.Event()
    while not stop.is_set():
        look()
        stop.wait(every_seconds)
