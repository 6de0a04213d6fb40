"""Galleries of a project: rows embedded by the live model and kept, so that their like can be looked for."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.bundle.gallery import STATE, Gallery, GalleryFile, gallery, read_gallery
from backstay.kernel.errors import BackstayError, Conflict, NotFound, nearest
from backstay.kernel.records import Json
from backstay.loop.examples import bring, text
from backstay.loop.given import as_kept
from backstay.loop.workspace import Workspace

DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Indexed:
    """A gallery as it stands.

    Args:
        rows: how many it holds; `added` of them came with this call.
        kept: columns that are shown beside a row. space: of the embeddings.
        model: that embedded the rows. source: the file that they came from.
    """

    name: str
    rows: int
    added: int
    dimension: int
    kept: tuple[str, ...]
    space: str
    model: str
    source: str


def index(ws: Workspace, source: Any, *, name: str = DEFAULT, keep: Sequence[str] = (), add: bool = False) -> Indexed:
    """Embed rows with the live model and keep them as a gallery; one of this name is replaced, or added to.

    Args:
        keep: columns that are shown beside a row; the labels are kept too where the rows have them.
        add: put the rows behind those that are there; needs the same space and fresh ids.

    Raises:
        BackstayError: the model has no embeddings, an id is there twice, or a column is not.
    """
    if _NAME.fullmatch(name) is None:
        raise BackstayError(
            f"{name!r} is not a name for a gallery", fix="use small letters, digits, - and _, at most 64 of them"
        )
    before = ws.catalog.get_state(key_of(ws, name))
    release = ws.champion()
    model = ws.load_model(ws.model_record(release.model_id))
    if not model.manifest.space_id:
        raise BackstayError(
            f"the live model {model.id} gives no embeddings", fix="promote a model with an encoder, or with embeddings"
        )
    table = as_kept(bring(ws, source), ws.rows_of(str(release.reference_id))[1], model.manifest.columns)
    fresh = _embedded(ws, model.manifest.space_id, model.predict(table).embeddings, table, keep)
    whole = fresh
    if add:
        if not before:
            raise NotFound(f"there is no gallery {name!r} to add to", fix=nearest(name, galleries(ws)))
        whole = read_gallery(_file_of(ws, before)).joined(fresh)
    shown = Path(source).name if isinstance(source, (str, Path)) else f"a {type(source).__name__}"
    about = {"model": model.id, "source": shown, "added": len(fresh)}
    return _indexed(name, file_gallery(ws, name, whole, about, instead_of=before))


def remove(ws: Workspace, name: str) -> Indexed:
    """Take a gallery away; `backstay gc` frees its file. Answers what it was."""
    found = _state_of(ws, name)
    with ws.ledger.transaction() as tx:
        tx.set_state(key_of(ws, name), {})
        tx.append("gallery_removed", {**ws.scope, "gallery": name, "file": found["file"]}, actor=ws.actor)
    return _indexed(name, found)


def galleries(ws: Workspace) -> dict[str, Indexed]:
    """Every gallery of this model and environment by its name."""
    start = key_of(ws, "")
    states = {key.removeprefix(start): state for key, state in ws.catalog.states(start).items()}
    return {name: _indexed(name, state) for name, state in sorted(states.items()) if state}


def files(ws: Workspace) -> dict[str, GalleryFile]:
    """Where every gallery of this model and environment is, by its name."""
    start = key_of(ws, "")
    states = {key.removeprefix(start): state for key, state in ws.catalog.states(start).items() if state}
    return {name: _file_of(ws, state) for name, state in states.items() if state["file"] in ws.blobs}


def opened(ws: Workspace, name: str) -> Gallery:
    """A gallery, its bytes checked."""
    return read_gallery(_file_of(ws, _state_of(ws, name)))


def erase(ws: Workspace, ids: set[str], groups: set[str]) -> int:
    """Take rows by id or group out of every gallery, the bytes of their vectors with them. Answers how many rows."""
    gone = 0
    for name in files(ws):
        state = _state_of(ws, name)
        old = read_gallery(_file_of(ws, state))
        mine = np.array(
            [i in ids or g in groups for i, g in zip(old.ids.to_pylist(), old.groups.to_pylist(), strict=True)]
        )
        if not mine.any():
            continue
        gone += int(mine.sum())
        if mine.all():
            remove(ws, name)
        else:
            about = {"model": state["model"], "source": state["source"], "added": 0}
            file_gallery(ws, name, old.take(~mine), about, instead_of=state)
        if state["file"] not in {file.id for file in files(ws).values()}:
            ws.blobs.remove(state["file"])
    return gone


def ids_of_groups(ws: Workspace, groups: set[str]) -> set[str]:
    """Ids of the rows of these groups in every gallery: of galleries only, as rows without an id column are counted."""
    found: set[str] = set()
    for name in files(ws) if groups else ():
        rows = opened(ws, name)
        owners = zip(rows.ids.to_pylist(), rows.groups.to_pylist(), strict=True)
        found |= {row for row, group in owners if group in groups}
    return found


def key_of(ws: Workspace, name: str) -> str:
    """The state key of a gallery."""
    return f"{STATE}{ws.name}/{ws.environment}/{name}"


def _embedded(ws: Workspace, space: str, embeddings: Any, table: pa.Table, keep: Sequence[str]) -> Gallery:
    schema = ws.rows_of(str(ws.champion().reference_id))[1]
    for column in keep:
        if column not in table.column_names:
            raise BackstayError(f"the rows have no column {column!r}", fix=nearest(column, table.column_names))
    labels = [schema.target] if schema.target is not None and schema.target in table.column_names else []
    shown = list(dict.fromkeys([*labels, *keep]))
    there = schema.id is not None and schema.id in table.column_names
    ids: list[str | None] = [str(row) for row in range(table.num_rows)]
    if there:
        ids = _texts(table, str(schema.id))
    if None in ids:
        gap = next(row for row, i in enumerate(ids) if i is None)
        raise BackstayError(f"row {gap} has no {schema.id!r}", fix="give every row an id")
    grouped = schema.group is not None and schema.group in table.column_names
    return gallery(
        space,
        [str(i) for i in ids],
        embeddings,
        groups=_texts(table, str(schema.group)) if grouped else None,
        kept={name: _texts(table, name) for name in shown},
    )


def _texts(table: pa.Table, name: str) -> list[str | None]:
    return [None if value is None else text(value) for value in table.column(name).to_pylist()]


def file_gallery(ws: Workspace, name: str, whole: Gallery, about: Json, *, instead_of: Json | None) -> Json:
    """Write the file, then move the name to it; nothing is moved when somebody else did meanwhile."""
    with tempfile.TemporaryDirectory(prefix="backstay-") as folder:
        fresh = Path(folder) / "gallery.arrow"
        blob = whole.write(fresh)
        ws.blobs.put_file(blob, fresh)
    state: Json = {
        **about,
        "file": blob,
        "rows": len(whole),
        "dimension": int(whole.vectors.shape[1]),
        "kept": list(whole.kept),
        "space": whole.space,
    }
    with ws.ledger.transaction() as tx:
        if tx.get_state(key_of(ws, name)) != instead_of:
            raise Conflict(f"the gallery {name!r} was changed meanwhile", fix="index again")
        tx.set_state(key_of(ws, name), state)
        tx.append("gallery_indexed", {**ws.scope, "gallery": name, **state}, actor=ws.actor)
    return state


def _state_of(ws: Workspace, name: str) -> Json:
    found = ws.catalog.get_state(key_of(ws, name))
    if not found:
        known = galleries(ws)
        hint = nearest(name, known) if known else "make one with `backstay index FILE`"
        raise NotFound(f"there is no gallery {name!r}", fix=hint)
    return found


def _file_of(ws: Workspace, state: Json) -> GalleryFile:
    return GalleryFile(state["file"], state["space"], ws.blobs.path(state["file"]))


def _indexed(name: str, state: Json) -> Indexed:
    return Indexed(
        name=name,
        rows=state["rows"],
        added=state["added"],
        dimension=state["dimension"],
        kept=tuple(state["kept"]),
        space=state["space"],
        model=state["model"],
        source=state["source"],
    )
