"""Measured tables that hand-written pages show between marks, as docs/proofs has them."""

from __future__ import annotations

import re
from pathlib import Path

PROOF = re.compile(r"(<!-- proof: (\S+) -->\n).*?(<!-- end of proof -->)", re.DOTALL)


def with_proofs(text: str, root: Path) -> str:
    """The page with each measured table between its marks."""
    return PROOF.sub(lambda found: found[1] + proof(found[2], root) + found[3], text)


def proof(pattern: str, root: Path) -> str:
    """The rows of all proofs of this name (or pattern) that have the same columns, under one head."""
    names = sorted((root / "docs/proofs").glob(f"{pattern}.md"), key=lambda path: path.name)
    tables = [[line for line in path.read_text().splitlines() if line.startswith("|")] for path in names]
    if not tables:
        return "\n*Not measured in this tree yet: `make prove`.*\n\n"
    head = tables[0][:2]
    rows = [row for table in tables if table[0] == head[0] for row in table[2:]]
    return "\n" + "\n".join([*head, *rows]) + "\n\n"
