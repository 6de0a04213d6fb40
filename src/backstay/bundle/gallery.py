"""A gallery: embedded rows to look for neighbours in. One Arrow file; its vectors are read from it block by block."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.kernel.ids import content_id
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.cosine import nearest_by_cosine, unit_rows

FORMAT = 1
STATE = "gallery/"
"""Keys of the store's state that name galleries: gallery/MODEL/ENVIRONMENT/NAME."""
_MARK = b"backstay"
_ID, _GROUP, _EMBEDDING, _KEPT = "id", "group", "embedding", "kept:"


@dataclass(frozen=True, slots=True)
class GalleryFile:
    """Where a gallery is, and what it fits.

    Args:
        id: content id of its file. space: of its embeddings: whoever searches must be of the same.
    """

    id: str
    space: str
    path: Path


@dataclass(frozen=True, eq=False)
class Gallery:
    """Embedded rows [n].

    Args:
        space: id of the space of the embeddings.
        ids: one text a row, all different. groups: the subject that a row belongs to, text or None.
        vectors: unit rows [n, d], float32; a view of the file where it was read from one.
        kept: further columns by name, text or null, that are shown beside a row.
    """

    space: str
    ids: pa.Array
    groups: pa.Array
    vectors: npt.NDArray[np.float32]
    kept: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, embeddings: npt.NDArray[np.floating[Any]], k: int, *, space: str) -> tuple[IntArray, FloatArray]:
        """Places [m, k] and cosines [m, k] of the rows nearest to each embedding [m, d], nearest first.

        Raises:
            BackstayError: the embeddings are of another space, or one of them has no direction.
        """
        refuse_other_space(self.space, space)
        return nearest_by_cosine(self.vectors, unit_rows(embeddings, "query"), k)

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Where each row is, by its id."""
        return {name: place for place, name in enumerate(self.ids.to_pylist())}

    def shown(self, place: int) -> dict[str, str | None]:
        """What is kept of a row."""
        return {name: column[place].as_py() for name, column in self.kept.items()}

    def take(self, chosen: npt.NDArray[np.bool_]) -> Gallery:
        """The rows where `chosen` [n] is true."""
        mask = pa.array(chosen)
        kept = {name: column.filter(mask) for name, column in self.kept.items()}
        return Gallery(self.space, self.ids.filter(mask), self.groups.filter(mask), self.vectors[chosen], kept)

    def joined(self, other: Gallery) -> Gallery:
        """These rows and then those of another gallery of the same space.

        Raises:
            BackstayError: another space, other columns, or an id that is in both.
        """
        refuse_other_space(self.space, other.space)
        if set(self.kept) != set(other.kept):
            told = ", ".join(sorted(self.kept)) or "none"
            raise BackstayError(
                f"the gallery keeps other columns than these rows: {told}", fix="name the same ones, or index anew"
            )
        twice = sorted(self.place_of.keys() & other.place_of.keys())
        if twice:
            raise BackstayError(f"{len(twice)} ids are in the gallery already: {twice[0]!r}", fix="leave them out")
        return Gallery(
            self.space,
            pa.concat_arrays([self.ids, other.ids]),
            pa.concat_arrays([self.groups, other.groups]),
            np.concatenate([self.vectors, other.vectors]),
            {name: pa.concat_arrays([column, other.kept[name]]) for name, column in self.kept.items()},
        )

    def write(self, path: Path) -> str:
        """Write it to a fresh file; answers the content id."""
        flat = pa.array(np.ascontiguousarray(self.vectors).reshape(-1), pa.float32())
        columns = {
            _ID: self.ids,
            _GROUP: self.groups,
            _EMBEDDING: pa.FixedSizeListArray.from_arrays(flat, self.vectors.shape[1]),
            **{f"{_KEPT}{name}": column for name, column in self.kept.items()},
        }
        about = json.dumps({"format": FORMAT, "space": self.space}, sort_keys=True)
        table = pa.table(columns).replace_schema_metadata({_MARK: about.encode()})
        try:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
                file.write_batch(table.combine_chunks().to_batches()[0])
        except OSError as error:
            raise BackstayError(f"the gallery cannot be written to {path} ({error})", fix="free some space") from error
        return _id_of(path)


def gallery(
    space: str,
    ids: list[str],
    embeddings: npt.NDArray[np.floating[Any]],
    *,
    groups: list[str | None] | None = None,
    kept: Mapping[str, list[str | None]] | None = None,
) -> Gallery:
    """A gallery of these rows.

    Raises:
        BackstayError: no row, an id twice, or an embedding without direction.
    """
    if not ids:
        raise BackstayError("there is no row to index", fix="give a file with rows")
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise BackstayError(f"the id {name!r} is there twice", fix="give every row an id of its own")
        seen.add(name)
    return Gallery(
        space,
        pa.array(ids, pa.string()),
        pa.array(groups or [None] * len(ids), pa.string()),
        unit_rows(embeddings, "row"),
        {name: pa.array(column, pa.string()) for name, column in (kept or {}).items()},
    )


def read_gallery(file: GalleryFile) -> Gallery:
    """Open a gallery; its bytes are hashed first, and vectors stay on disk until they are looked at.

    Raises:
        NotFound: there is no such file.
        Tampered: it does not hash to its id, or is not a gallery.
    """
    if not file.path.is_file():
        raise NotFound(f"the file of {file.id} is missing ({file.path})", fix="index the rows again")
    if _id_of(file.path) != file.id:
        raise Tampered(f"{file.path} does not hash to {file.id}", fix="index again, and find out who changed it")
    try:
        with pa.memory_map(str(file.path)) as source:
            table = pa.ipc.open_file(source).read_all()
        about = json.loads(table.schema.metadata[_MARK])
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        embedding = columns.pop(_EMBEDDING)
        flat = embedding.flatten().to_numpy()
        vectors = flat.reshape(len(embedding), embedding.type.list_size)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise Tampered(f"{file.path} is not a gallery ({error})", fix="index the rows again") from error
    if about.get("format") != FORMAT:
        raise BackstayError(f"{file.id} has gallery format {about.get('format')}", fix="install a newer Backstay")
    kept = {name.removeprefix(_KEPT): column for name, column in columns.items() if name.startswith(_KEPT)}
    return Gallery(str(about["space"]), columns[_ID], columns[_GROUP], vectors, kept)


def refuse_other_space(mine: str, other: str) -> None:
    """Only embeddings of one space can be compared: equal numbers mean nothing across two."""
    if not other:
        raise BackstayError(
            "the model has no embedding space to search in", fix="promote a model with an encoder: train.model"
        )
    if mine != other:
        raise BackstayError(
            f"the gallery is of the space {mine}, the model embeds into {other}: they cannot be compared",
            fix="index the rows again with this model, or search with a model of the gallery's space",
        )


def _id_of(path: Path) -> str:
    with path.open("rb") as file:
        return content_id("gallery", hashlib.file_digest(file, "sha256").hexdigest())
