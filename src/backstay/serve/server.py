"""Start and stop: the socket, the threads, the event loop."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from backstay.access.keys import KeyRecord
from backstay.bundle.gallery import GalleryFile
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import Clock
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import WindowResult
from backstay.serve.app import App
from backstay.serve.live import Live, LiveRelease
from backstay.serve.loopback import is_loopback
from backstay.serve.metrics import Metrics
from backstay.settings import ServeSettings, Settings

BACKLOG = 2048


def run_server(
    settings: Settings,
    *,
    pointer: Callable[[], LiveRelease | None],
    keys: Callable[[], list[KeyRecord]],
    trust: Callable[[Path], None] = lambda _: None,
    watched: Callable[[], WindowResult | None] = lambda: None,
    galleries: Callable[[], Mapping[str, GalleryFile]] = dict,
    journal_directory: Path,
    clock: Clock,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked by then is answered first.

    Args:
        trust: asked before a bundle is loaded; raises where it should not be.
        watched: reads the newest window that was judged, for the metrics.
        galleries: reads where the galleries are that can be searched, by name.
        announce: told one JSON line an event: "serving" with the address, "live" at each swap.

    Raises:
        BackstayError: the address cannot be bound, or it is open to others and asks for no key.
    """
    wanted = settings.serve
    refuse_open_door(wanted)
    listener = _listen(wanted)

    def say(event: dict[str, Any]) -> None:
        announce(json.dumps(event))

    try:
        metrics = Metrics()
        live = Live(pointer, keys, metrics, say, trust, watched)
        live.start()
        journal = JournalWriter(journal_directory, minimum_free_bytes=wanted.minimum_free_bytes)
        app = App(settings, live, journal, metrics, clock, galleries)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        say({"event": "serving", "url": f"http://{shown}:{port}", "model": settings.name})
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=10, lifespan="on"
        )
        _Server(config).run(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Uvicorn, but a signal that was obeyed is not raised once more: to be told to stop is not to fail."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def refuse_open_door(serve: ServeSettings) -> None:
    """An address that others can reach asks for a key."""
    if serve.require_key or is_loopback(serve.host):
        return
    raise BackstayError(
        f"{serve.host} can be reached by others, and no key would be asked for",
        fix="leave keys on, or bind to 127.0.0.1",
    )


def _listen(serve: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serve.host, serve.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BackstayError(
            f"{serve.host}:{serve.port} cannot be bound ({error.strerror})",
            fix="choose another --port, or 0 for a free one",
        ) from error
    return listener
