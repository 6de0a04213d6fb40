"""Tables that `make prove` commits: one markdown file each, with the hash of the test that made it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ProveTable = Callable[[str, Sequence[Mapping[str, object]]], None]


@pytest.fixture
def prove_table(request: pytest.FixtureRequest) -> ProveTable:
    """Write rows under a name to the folder BACKSTAY_PROVE_OUT; without that variable, check the rows only."""
    script = Path(str(request.path))

    def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
        assert rows
        heads = list(rows[0])
        lines = [f"# {name}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        lines += ["| " + " | ".join(_cell(row[head]) for head in heads) + " |" for row in rows]
        digest = hashlib.sha256(script.read_bytes()).hexdigest()
        lines += ["", f"Made by `tests/statistical/{script.name}`, sha256 `{digest}`.", ""]
        out = os.environ.get("BACKSTAY_PROVE_OUT")
        if out:
            Path(out).mkdir(parents=True, exist_ok=True)
            (Path(out) / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")

    return write


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
