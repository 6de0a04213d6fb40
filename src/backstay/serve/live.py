"""Which model answers: read from the pointer, loaded beside the old one, swapped in when it is warm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backstay.access.keys import KeyRecord
from backstay.bundle.datatypes import numpy_dtype
from backstay.bundle.inputs import channels_first
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, load
from backstay.kernel.records import Release, WindowResult
from backstay.serve.metrics import Metrics

POLL_SECONDS = 0.2
RETRY_SECONDS = 5.0
WATCHED_SECONDS = 15.0
WARM = 2


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """A release and where its bundle is: None for a model that lives elsewhere, of which only `classes` are known."""

    release: Release
    bundle_path: Path | None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A release whose model is ready to answer."""

    release: Release
    model: Model

    @property
    def version(self) -> str:
        return str(self.release.sequence)


class Live:
    """Follows the pointer in a thread of its own. What answers is replaced in one assignment.

    When the pointer cannot be read, or the new model cannot be loaded, the old one goes on answering.

    Args:
        pointer: reads what is live now; may raise.
        keys: reads the keys that are good now; may raise.
        trust: asked before a bundle is loaded; raises where it should not be.
        watched: reads the newest window that was judged, for the metrics; may raise.
    """

    def __init__(
        self,
        pointer: Callable[[], LiveRelease | None],
        keys: Callable[[], list[KeyRecord]],
        metrics: Metrics,
        say: Callable[[dict[str, Any]], None],
        trust: Callable[[Path], None] = lambda _: None,
        watched: Callable[[], WindowResult | None] = lambda: None,
    ) -> None:
        self._pointer = pointer
        self._watched = watched
        self._watched_at = -WATCHED_SECONDS
        self._read_keys = keys
        self._metrics = metrics
        self._say = say
        self._trust = trust
        self.current: Loaded | None = None
        self.outside: LiveRelease | None = None
        self.warm: dict[str, Loaded] = {}
        self.keys: list[KeyRecord] = []
        self.trouble: str | None = None
        self._refused: tuple[str, float] = ("", 0.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="pointer")

    def start(self) -> None:
        """Load what is live and begin to follow. Raises what hinders the first load."""
        self.keys = self._read_keys()
        found = self._pointer()
        if found is not None:
            self._swap(found)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def find(self, version: str | None) -> Loaded | None:
        """What answers a request: the live model, or a warm one by its version."""
        return self.current if version is None else self.warm.get(version)

    @property
    def release_id(self) -> str | None:
        """What is live now, run here or elsewhere."""
        if self.outside is not None:
            return self.outside.release.id
        return None if self.current is None else self.current.release.id

    def _follow(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            self.keys = self._read_keys()
            found = self._pointer()
            self._show_window()
        except Exception as error:  # noqa: BLE001 - whatever ails the store, the model in memory goes on answering
            self._metrics.pointer_failures.inc()
            self.trouble = f"the live pointer cannot be read: {error}"
            return
        if found is None or found.release.id == self.release_id:
            self.trouble = None
            return
        release, at = self._refused
        if found.release.id == release and time.monotonic() - at < RETRY_SECONDS:
            return
        try:
            self._swap(found)
        except Exception as error:  # noqa: BLE001 - whatever ails the bundle, the model in memory goes on answering
            self._refused = (found.release.id, time.monotonic())
            self._metrics.swap_failures.inc()
            self.trouble = f"release {found.release.sequence} could not be loaded: {error}"
            self._say({"event": "swap_failed", "release": found.release.id, "error": str(error)})

    def _show_window(self) -> None:
        """Now and then: a window is closed in days, and reading its record is not free."""
        if time.monotonic() - self._watched_at < WATCHED_SECONDS:
            return
        self._watched_at = time.monotonic()
        window = self._watched()
        if window is not None:
            self._metrics.watch.show(window)

    def _swap(self, found: LiveRelease) -> None:
        if found.bundle_path is None:
            self.current, self.warm, self.outside, self.trouble = None, {}, found, None
            self._metrics.live(found.release)
            self._say({"event": "live", "release": found.release.id, "version": str(found.release.sequence)})
            return
        model = next((w.model for w in self.warm.values() if w.model.id == found.release.model_id), None)
        if model is None:
            self._trust(found.bundle_path)
            model = load(found.bundle_path, expected_id=found.release.model_id)
            warm_up(model)
        loaded = Loaded(found.release, model)
        old = self.current
        self.current, self.outside = loaded, None
        kept = [w for w in (old, loaded) if w is not None]
        self.warm = {w.version: w for w in kept[-WARM:]}
        self.trouble = None
        self._metrics.live(found.release)
        self._say({"event": "live", "release": found.release.id, "version": loaded.version, "model": model.id})


def warm_up(model: Model) -> None:
    """Answer one empty-handed row, so that the first real one does not wait for allocation."""
    model.run(blank(model.manifest))


def blank(manifest: Manifest) -> dict[str, Any]:
    """One row of zeros and empty texts for this model."""
    arrays: dict[str, Any] = {}
    for spec in manifest.inputs:
        shape = [1, *(1 if size == -1 else size for size in spec.shape[1:])]
        if len(shape) == 4 and -1 in spec.shape[1:]:
            height, width, channels = spec.column_shape
            shape[1:] = (channels, height, width) if channels_first(spec) else (height, width, channels)
        kind = numpy_dtype(spec.datatype)
        arrays[spec.name] = np.full(shape, "", dtype=object) if kind == np.object_ else np.zeros(shape, dtype=kind)
    return arrays
