"""project.monitor: what is seen of the live model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backstay.kernel.errors import BackstayError

if TYPE_CHECKING:
    from backstay.kernel.records import WindowResult
    from backstay.loop.notify import Message, Notified
    from backstay.loop.record import Logged
    from backstay.loop.report import Reported
    from backstay.loop.watch import Watched
    from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class MonitorVerbs:
    """Watching what is live."""

    ws: Workspace

    def log(self, source: Any) -> Logged:
        """Log predictions made elsewhere. `source`: a file, or a frame (Arrow, polars, pandas)."""
        from backstay.loop.record import log

        return log(self.ws, source)

    def watch(
        self,
        *,
        close_now: bool = False,
        act: bool = False,
        dry_run: bool = False,
        page: Path | None = None,
        metrics: Path | None = None,
    ) -> Watched:
        """Judge every window that has closed since the last look.

        Args:
            close_now: also judge the window that is still filling, if it has rows enough.
            act: retrain when the arithmetic says so; promote only where `retrain.auto_promote` allows it.
            dry_run: tell what `act` would do, and do none of it.
            page: where to write the HTML page.
            metrics: where to write the newest window's figures for Prometheus (its text format).
        """
        from backstay.loop.watch import watch

        return watch(self.ws, close_now=close_now, act=act, dry_run=dry_run, page=page, metrics=metrics)

    def keep_watching(
        self,
        *,
        every_seconds: float,
        tell: Callable[[Watched], None],
        complain: Callable[[BackstayError], None],
        act: bool = False,
        page: Path | None = None,
        metrics: Path | None = None,
    ) -> None:
        """Watch again and again until interrupted; a look that fails is told and the next one tried."""
        from backstay.loop.agent import run_agent

        run_agent(
            self.ws, every_seconds=every_seconds, tell=tell, complain=complain, act=act, page=page, metrics=metrics
        )

    def windows(self) -> list[WindowResult]:
        """Every window of the live release that was judged, oldest first."""
        from backstay.loop.lookup import window_results

        return window_results(self.ws, self.ws.champion().id)

    def examine(self, source: Any) -> Watched:
        """Judge these rows as if they were a window; nothing is recorded."""
        from backstay.loop.watch import examine

        return examine(self.ws, source)

    def backfill(self, source: Path | str) -> Watched:
        """Judge a past that was never logged, window by window: Parquet, streamed; what was judged stays judged."""
        from backstay.loop.backfill import backfill

        return backfill(self.ws, Path(source))

    def notify(self, *, test: bool = False) -> Notified:
        """Send what waits to everybody named in [notify]; `test` sends one message that says so, now or never."""
        from backstay.loop.notify import deliver, send_test

        return send_test(self.ws) if test else deliver(self.ws)

    def unsent(self) -> list[Message]:
        """The messages that `notify` would send now."""
        from backstay.loop.notify import waiting

        return waiting(self.ws)

    def report(
        self, candidate: str | None = None, *, page: Path | None = None, space: Literal["pca", "tsne"] = "pca"
    ) -> Reported:
        """The whole story on one page, or what was measured of one model.

        Args:
            candidate: the id of a model, or its beginning.
            space: how the picture of the space of embeddings is drawn.
        """
        from backstay.loop.report import report

        return report(self.ws, candidate, page=page, space=space)
