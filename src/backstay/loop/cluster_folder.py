"""A folder of clusters: `rows.parquet` (id, cluster, distance), `centres.npy`, and `clusters.json` that says what they
are. Written whole or not at all; read back so that new rows are given to the same centres."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.data.write import write_table
from backstay.kernel.disk import write_synchronised
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.kernel.ids import event_id
from backstay.maths.arrays import FloatArray

FORMAT = 1
ROWS, CENTRES, ABOUT = "rows.parquet", "centres.npy", "clusters.json"
DISTANCES = ("cosine", "euclidean")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Centres that were kept.

    Args:
        space: that they lie in. distance: "cosine" where rows were brought to length 1 first, or "euclidean".
        centres: [K, d]. limits: distance that 99% of each one's fitted rows stayed within.
    """

    space: str
    distance: str
    centres: FloatArray
    limits: tuple[float | None, ...]


def check_place(folder: Path) -> None:
    """Refuse a place where no folder can be made, before the work. Raises BackstayError."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BackstayError(f"{folder} is there already", fix="name a folder that is not there yet, or an empty one")


def write(folder: Path, about: dict[str, Any], centres: FloatArray, rows: pa.Table) -> None:
    """Write the three files under a name of their own, then give the folder its name."""
    check_place(folder)
    buffer = io.BytesIO()
    np.save(buffer, centres, allow_pickle=False)
    content = buffer.getvalue()
    document = {"format": FORMAT, "centres": hashlib.sha256(content).hexdigest(), **about}
    fresh = folder.with_name(f".{folder.name}.{event_id('tmp')}")
    try:
        fresh.mkdir(parents=True)
        write_table(rows, fresh / ROWS)
        write_synchronised(fresh / CENTRES, content)
        write_synchronised(fresh / ABOUT, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
        if folder.is_dir():
            folder.rmdir()
        fresh.rename(folder)
    except OSError as error:
        raise BackstayError(
            f"{folder} cannot be written ({error.strerror or error})", fix="choose another place, or free some space"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read(folder: Path) -> Kept:
    """The centres of a folder.

    Raises:
        NotFound: it is no folder of clusters.
        Tampered: its centres are not those that were written.
        BackstayError: it was written by a newer version.
    """
    try:
        document = json.loads((folder / ABOUT).read_bytes())
        content = (folder / CENTRES).read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{folder} holds no clusters", fix="name a folder that `backstay cluster` wrote") from error
    except (OSError, ValueError) as error:
        raise Tampered(f"{folder} cannot be read ({error})", fix="cluster again") from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise Tampered(f"{folder / ABOUT} does not say its format", fix="cluster again")
    if document["format"] > FORMAT:
        raise BackstayError(f"{folder} has format {document['format']}", fix="install a newer Backstay")
    if hashlib.sha256(content).hexdigest() != document.get("centres"):
        raise Tampered(f"{folder / CENTRES} is not what was written", fix="cluster again")
    try:
        centres = np.load(io.BytesIO(content), allow_pickle=False)
        limits = tuple(part["limit"] for part in document["parts"])
        kept = Kept(str(document["space"]), str(document["distance"]), np.asarray(centres, dtype=np.float64), limits)
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered(f"{folder / ABOUT} was changed ({error!r})", fix="cluster again") from error
    numbers = all(limit is None or isinstance(limit, int | float) for limit in limits)
    if kept.distance not in DISTANCES or kept.centres.ndim != 2 or len(kept.centres) != len(limits) or not numbers:
        raise Tampered(f"{folder / ABOUT} does not fit its centres", fix="cluster again")
    return kept
