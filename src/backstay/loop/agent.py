"""The agent: looks again and again, acts where that pays, and tells what it saw. One at a time; safe to kill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from backstay.kernel.errors import BackstayError
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

    A look that fails (a log that cannot be read, a challenger that cannot be trained, another agent at work) is told
    and the next one tried: whoever watches must not stop watching because of it.

    Args:
        every_seconds: pause between two looks, 1 or more.
        until: set it to stop; without it the agent runs until it is interrupted.
    """
    if not every_seconds >= SHORTEST:
        raise BackstayError(f"a look every {every_seconds!r} seconds", fix="give a pause of a second or more")
    stop, looks = until or threading.Event(), 0
    while not stop.is_set():
        try:
            tell(watch(ws, act=act, page=page, metrics=metrics))
            looks += 1
        except BackstayError as error:
            complain(error)
        stop.wait(every_seconds)
    return looks
