"""Pickles run code when they are opened, so they are recognised and refused unopened."""

from __future__ import annotations

from pathlib import Path

from backstay.kernel.errors import BackstayError

ENDINGS = frozenset({".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".dill"})
HEAD = 2


def refuse_pickle(path: Path) -> None:
    """Raise for a pickle by its ending or by its first bytes (protocol 2 and later begin 0x80, version)."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    magic = len(head) == HEAD and head[0] == 0x80 and 2 <= head[1] <= 5
    if magic or path.suffix.lower() in ENDINGS:
        raise BackstayError(
            f"{path} is a pickle, which runs code when it is opened",
            fix="save the rows where they were made, for example with frame.to_parquet('rows.parquet')",
        )
