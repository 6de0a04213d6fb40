"""project.models: making models and offering them to the gate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.kernel.errors import BackstayError

if TYPE_CHECKING:
    from backstay.kernel.transfer import Transfer
    from backstay.loop.clusters import Clustered
    from backstay.loop.enhance import Enhanced
    from backstay.loop.gallery import Indexed
    from backstay.loop.gating import Offered
    from backstay.loop.predict import Predicted
    from backstay.loop.search import Searched
    from backstay.loop.workspace import Workspace


def file_or_object(model: Any) -> Any:
    """A path where a model was named by its file, else the object itself."""
    return Path(model) if isinstance(model, str | os.PathLike) else model


@dataclass(frozen=True)
class ModelVerbs:
    """Making models and offering them to the gate."""

    ws: Workspace

    def run(self) -> Offered:
        """Data, audit, train, evaluate, gate. Never promotes."""
        from backstay.loop.run import run

        return run(self.ws)

    def offer(
        self,
        model: Any,
        *,
        trained_on: Path | None = None,
        example: Any = None,
        outputs: Sequence[str] = (),
        classes: Sequence[str] = (),
    ) -> Offered:
        """Offer a successor that was made elsewhere: an ONNX file, a fitted scikit-learn model, or a torch module.

        Args:
            trained_on: the rows that it has learned from, to look for leaks.
            example, outputs, classes: what it does not say of itself: see `backstay.adopt`.
        """
        from backstay.loop.adopt import offer_model
        from backstay.loop.hints import Hints

        if model is None:
            raise BackstayError("no model file was named", fix="give the successor's ONNX file")
        hints = Hints.of(example, outputs, classes)
        return offer_model(self.ws, file_or_object(model), trained_on=trained_on, hints=hints)

    def retrain(self, *, rows: Path | None = None) -> Offered:
        """Train a challenger on old rows and new labels and ask the gate. Never promotes."""
        from backstay.loop.retrain import retrain

        return retrain(self.ws, extra=rows)

    def teach(self, name: str, examples: Any, *, gate_share: float = 0.5) -> Offered:
        """Offer the live model with one class more, made of examples alone, to the gate. Never promotes.

        Args:
            examples: rows of the class `name`: a file, or a frame (Arrow, polars, pandas).
            gate_share: the share of them that judges and does not enter the head.
        """
        from backstay.loop.teach import teach

        return teach(self.ws, name, examples, gate_share=gate_share)

    def transfer(self, by: str, *, page: Path | None = None) -> Transfer:
        """Train the recipe on each value of a column and judge it on all: does what is learned here hold there?"""
        from backstay.loop.transfer import transfer

        return transfer(self.ws, by, page=page)

    def predict(self, source: Any, *, output: Path | None = None, record: bool = False) -> Predicted:
        """Answer rows with the champion. `source`: a file, or a frame (Arrow, polars, pandas)."""
        from backstay.loop.predict import predict

        return predict(self.ws, source, output=output, record=record)

    def enhance(self, source: Any, *, output: Path | None = None) -> Enhanced:
        """Answer images with the images that the champion makes of them. `source`: a png or jpg, or rows."""
        from backstay.loop.enhance import enhance

        return enhance(self.ws, source, output=output)

    def index(self, source: Any, *, name: str = "default", keep: Sequence[str] = (), add: bool = False) -> Indexed:
        """Embed rows with the champion and keep them as a gallery to search in. `source`: a file, or a frame.

        Args:
            name: of the gallery; one of this name is replaced, or added to with `add`.
            keep: columns that a search shows beside a row; the labels are kept too where the rows have them.
        """
        from backstay.loop.gallery import index

        return index(self.ws, source, name=name, keep=keep, add=add)

    def galleries(self) -> dict[str, Indexed]:
        """Every gallery by its name."""
        from backstay.loop.gallery import galleries

        return galleries(self.ws)

    def unindex(self, name: str) -> Indexed:
        """Take a gallery away; answers what it was."""
        from backstay.loop.gallery import remove

        return remove(self.ws, name)

    def search(self, source: Any = None, *, like: str | None = None, k: int = 10, name: str = "default") -> Searched:
        """The k rows of a gallery nearest by cosine to each row of a file or frame, or to its own row `like`."""
        from backstay.loop import search

        if (source is None) == (like is None):
            raise BackstayError("a search asks for rows or for one row's like", fix="give a file, or an id, not both")
        if like is not None:
            return search.like(self.ws, like, k=k, name=name)
        return search.search(self.ws, source, k=k, name=name)

    def cluster(
        self,
        rows: Any = None,
        *,
        clusters: int | None = None,
        output: Path | None = None,
        by: Path | None = None,
        candidate: str | None = None,
        vectors: str | None = None,
        distance: str | None = None,
        seed: int = 0,
    ) -> Clustered:
        """Put rows into clusters by where a model embeds them, or by a column of vectors.

        Args:
            rows: a file or frame; None takes the model's data (with `vectors`, the project's rows).
            clusters: how many; None takes the number of 2 to 30 with the largest mean silhouette.
            output: a folder for rows, centres and figures, which is not there yet.
            by: a folder that this wrote: its centres are kept, and nothing is fitted.
            candidate: the id of a model, or its beginning; None takes the live one.
            distance: "cosine" (the default) or "euclidean".
        """
        from backstay.loop.clusters import cluster

        return cluster(
            self.ws, rows, clusters=clusters, output=output, by=by, candidate=candidate, vectors=vectors,
            distance=distance, seed=seed,
        )  # fmt: skip
