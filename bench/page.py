"""docs/benchmarks.md: one section for each script, replaced when the script is run again."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by the scripts in `bench/`, not by hand. The machine is shared with other work and noisy: the same cell may
differ by half from run to run. What is compared ran in one run, in turns, so read the ratios; the absolute figures are
one machine's on one day. One small model, made-up rows: measure your own case before you decide by these.

"""
ORDER = (
    "serve",
    "watch",
    "watch_stream",
    "learn",
    "learn_triplet",
    "learn_few_shot",
    "learn_unlabelled",
    "learn_by_steps",
    "learn_text",
    "learn_terms",
    "learn_scope",
    "learn_tables",
    "learn_small",
    "learn_threads",
    "learn_batches",
)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others figures."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put this section in the place of its former self; the others stay."""
    sections = _sections(page) if page.is_file() else {}
    sections[name] = text.strip()
    ordered = [f"<!-- {n} -->\n{sections[n]}\n<!-- end of {n} -->\n" for n in ORDER if n in sections]
    fresh = page.with_name(page.name + ".new")
    fresh.write_text((_head(page) or HEAD) + "\n".join(ordered))
    fresh.replace(page)


def _head(page: Path) -> str:
    """What stands above the first section: notes that were added there by hand stay."""
    return page.read_text().partition(f"<!-- {ORDER[0]} -->")[0] if page.is_file() else ""


def _sections(page: Path) -> dict[str, str]:
    text = page.read_text()
    found = {}
    for name in ORDER:
        _, begun, rest = text.partition(f"<!-- {name} -->\n")
        inside, ended, _ = rest.partition(f"\n<!-- end of {name} -->")
        if begun and ended:
            found[name] = inside
    return found


def provenance(command: str, scripts: list[Path], packages: tuple[str, ...], others: list[str]) -> str:
    """What was run, on what, with which versions, and the hashes of the scripts that measured."""
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    told = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    lines = [
        f"- command: `{command}`",
        f"- machine: shared and noisy; {os.cpu_count()} cores ({platform.machine()}), {platform.system()}; "
        f"load average at the end {load}",
        f"- versions: {', '.join(told)}",
        *(f"- {other}" for other in others),
        "- sha256 of the scripts:",
        *(f"  - `{script.name}` `{_sha256(script)}`" for script in scripts),
    ]
    return "\n".join(lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
