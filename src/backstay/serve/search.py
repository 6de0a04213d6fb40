"""Neighbours over HTTP: rows are embedded as they are for an answer, and looked for in a gallery of the project.

A gallery is named, never located: the name is looked up among those that the project has, and no text of a client
becomes a path. What is searched for is never logged: it is no prediction. What its result list was like is, where the
project asks for it (`journal.searches`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.bundle.gallery import Gallery, GalleryFile, read_gallery
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.result_lists import LEAST_RESULTS
from backstay.serve.batcher import Batcher
from backstay.serve.live import Loaded
from backstay.serve.problems import Problem
from backstay.serve.protocol import parse

DEFAULT = "default"
DEFAULT_K = 10
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """Result lists of one request: places in the gallery and cosines [rows, results], nearest first."""

    name: str
    gallery: Gallery
    places: IntArray
    cosines: FloatArray
    release: str


Keep = Callable[[Listed], list[str]]
"""Logs result lists; answers an id for each, or nothing where they are not logged."""


class Galleries:
    """The galleries that can be searched, each opened when it is first asked for. One search at a time.

    Args:
        name: of the model. rows: most of a request.
        listed: reads where the galleries are now, by name; may raise: then those known before are searched.
        most: the most neighbours of one row. keep: logs searches; None where they are not to be logged.
    """

    def __init__(
        self,
        name: str,
        listed: Callable[[], Mapping[str, GalleryFile]],
        most: int,
        rows: int,
        keep: Keep | None = None,
    ) -> None:
        self._name = name
        self._keep = keep
        self._listed = listed
        self._most = most
        self._rows = rows
        self._known: Mapping[str, GalleryFile] = {}
        self._open: dict[str, Gallery] = {}
        self._one = asyncio.Lock()

    async def answer(self, loaded: Loaded, body: bytes, header_length: int | None, batcher: Batcher) -> dict[str, Any]:
        """The response to a request: of each row the nearest ones' ids, cosines, and what is kept. Raises Problem."""
        manifest = loaded.model.manifest
        question = parse(body, header_length, manifest, max_rows=self._rows)
        name, k = self._wanted(question.parameters)
        # A probe is answered and not logged: what is searched for is no prediction.
        outputs, _ = await batcher.ask(replace(question, probe=True), loaded, [""] * question.rows)
        if outputs.embeddings is None:
            raise Problem(409, "the model gives no embeddings to search with", "promote one with an encoder")
        async with self._one:
            found, ids = await asyncio.to_thread(self._search, name, k, outputs.embeddings, loaded)
        said: dict[str, Any] = {"model_name": self._name, "model_version": loaded.version}
        if question.request_id is not None:
            said["id"] = question.request_id
        if ids:
            said["search_ids"] = ids
        return {**said, "gallery": name, "neighbours": found}

    def _wanted(self, parameters: Mapping[str, Any]) -> tuple[str, int]:
        """Gallery and number of neighbours that a request asks for."""
        name, k = parameters.get("gallery", DEFAULT), parameters.get("k", DEFAULT_K)
        if not isinstance(name, str):
            raise Problem(400, "the gallery is not named by a text", "leave it out for the default one")
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= self._most:
            raise Problem(400, f"k is {str(k)[:40]}", f"ask for 1 to {self._most} neighbours")
        return name, k

    def _search(
        self, name: str, k: int, embeddings: npt.NDArray[np.float32], loaded: Loaded
    ) -> tuple[list[list[dict[str, Any]]], list[str]]:
        """The neighbours of each row, and the ids of the searches where these were logged."""
        gallery, space = self._opened(name), loaded.model.manifest.space_id
        if gallery.space != space:
            raise Problem(
                409,
                f"the gallery {name!r} is of another embedding space than this model",
                "index its rows again with the live model, or ask a version of its space",
            )
        try:
            # Some more are looked at where searches are logged: what a list was like is told by its first twenty.
            seen = k if self._keep is None else max(k, LEAST_RESULTS)
            places, cosines = gallery.find(embeddings, seen, space=space)
        except BackstayError as error:
            raise Problem(400, error.what, error.fix) from error
        ids = [] if self._keep is None else self._keep(Listed(name, gallery, places, cosines, loaded.release.id))
        return [
            [
                {"id": gallery.ids[place].as_py(), "cosine": round(cosine, 6), **_kept(gallery, place)}
                for place, cosine in zip(row[:k], near[:k], strict=True)
            ]
            for row, near in zip(places.tolist(), cosines.tolist(), strict=True)
        ], ids

    def _opened(self, name: str) -> Gallery:
        try:
            self._known = dict(self._listed())
        except Exception:
            logger.exception("the galleries cannot be listed; those known before are searched")
        file = self._known.get(name)
        if file is None:
            raise Problem(404, f"there is no gallery {name[:100]!r}", "make it with `backstay index`")
        alive = {known.id for known in self._known.values()}
        self._open = {blob: gallery for blob, gallery in self._open.items() if blob in alive}
        if file.id not in self._open:
            self._open[file.id] = read_gallery(file)
        return self._open[file.id]


def _kept(gallery: Gallery, place: int) -> dict[str, Any]:
    return {"kept": gallery.shown(place)} if gallery.kept else {}
