"""The public scoreboard of monitors: installed peers and Backstay on the same made-up traffic.

Each tool runs in an environment of its own (bench/peers/*.txt pins it) and each run in a process of its own. What was
run is kept in a folder, so that a run that was stopped goes on where it was. Writes bench/results/scoreboard.json and,
from it, docs/scoreboard.md.

    python bench/scoreboard.py                              # everything, hours
    python bench/scoreboard.py --parts tables --minutes 30  # begins nothing new after 30 minutes
    python bench/scoreboard.py --quick                      # ten minutes, most of them to install; writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import peers
from board import concept, costs, embeddings, render, tables
from board.runs import Kept, Run, Tool, sources_mark

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS, PAGE = HERE / "results" / "scoreboard.json", ROOT / "docs" / "scoreboard.md"
PARTS = ("tables", "concept", "stream", "embeddings", "costs")
# What was to be run: seeds, windows a seed and change, seeds of ours, rows of the reference, tools by part.
ASKED = {
    "seeds": 10,
    "windows": 200,
    "our_seeds": 50,
    "references": list(tables.REFERENCES),
    "tools": {
        "tables": list(render.LABELS),
        "concept": list(concept.TAKES_PART["concept"]),
        "stream": list(concept.TAKES_PART["stream"]),
        "embeddings": list(embeddings.TOOLS),
        "costs": list(render.LABELS),
    },
}


def tools_of(given: argparse.Namespace) -> tuple[list[Tool], dict[str, str]]:
    """The tools that could be installed, and why the others could not."""
    tools, absent = [], {}
    for name in given.tools or render.LABELS:
        python = Path(sys.executable)
        if name != "backstay":
            folder = name.replace("_", "-")
            peer = peers.pinned(folder, given.peers / folder)
            if peer.python is None:
                absent[name] = peer.why_not
                continue
            python = peer.python
        tools.append(Tool(name, render.LABELS[name], python))
    return tools, absent


def questions(part: str, tools: list[Tool], given: argparse.Namespace) -> list[Run]:
    if part == "tables":
        return [run for run, _ in tables.questions(tools, _size(given))]
    if part in concept.TAKES_PART:
        return [run for run, _ in concept.questions(tools, given.seeds, part)]
    if part == "embeddings":
        return [run for run, _, _ in embeddings.questions(tools, given.embedding_seeds, given.embedding_windows)]
    costs.files(_files(given))
    return [run for run, _ in costs.questions(tools, _files(given), given.rounds)]


def figures(part: str, kept: Kept, tools: list[Tool], given: argparse.Namespace) -> dict[str, Any]:
    if part == "tables":
        return {"tables": tables.summary(kept, tools, _size(given))}
    if part == "concept":
        return {"concept": concept.windows_summary(kept, tools, given.seeds)}
    if part == "stream":
        return {"stream": concept.stream_summary(kept, tools, given.seeds)}
    if part == "embeddings":
        return {"embeddings": embeddings.summary(kept, tools, given.embedding_seeds, given.embedding_windows)}
    return {"costs": costs.summary(kept, tools, _files(given), given.rounds)}


def _size(given: argparse.Namespace) -> tables.Size:
    return tables.Size(given.seeds, given.our_seeds, given.blocks, given.block, given.seeds, tuple(given.references))


def _files(given: argparse.Namespace) -> Path:
    return Path(given.kept or given.peers / "kept") / "files"


def machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores ({platform.machine()}) shared with other work, load average at the end {load}"


def write(
    told: dict[str, Any], absent: dict[str, str], versions: dict[str, Any], parts: list[str], sources: str
) -> None:
    """Put these parts in the place of their former selves, and make the page anew."""
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"made": {}, "versions": {}}
    results.update(told)
    command = "python bench/scoreboard.py " + " ".join(_public(sys.argv[1:]))
    for part in parts:
        results["made"][part] = {"command": command.strip(), "machine": machine()}
    results["versions"].update(versions)
    results["absent"], results["asked"] = absent, ASKED
    results["sources"] = sources
    scripts = [Path(__file__), *sorted((HERE / "board").glob("*.py")), *sorted(peers.PINNED.glob("*.txt"))]
    results["scripts"] = {
        str(path.relative_to(HERE)): hashlib.sha256(path.read_bytes()).hexdigest() for path in scripts
    }
    RESULTS.parent.mkdir(exist_ok=True)
    for path, text in ((RESULTS, json.dumps(results, indent=1) + "\n"), (PAGE, render.scoreboard(results))):
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text)
        fresh.replace(path)


def _public(arguments: list[str]) -> list[str]:
    """Without the folders of one machine, nor what says only when to run and to stop."""
    hidden, alone, found, skip = ("--peers", "--kept", "--minutes"), ("--only-tell", "--only-run"), [], False
    for word in arguments:
        if not skip and word not in (*hidden, *alone):
            found.append(word)
        skip = word in hidden
    return found


def versions_of(kept: Kept, runs: list[Run]) -> dict[str, Any]:
    found = {}
    for run in runs:
        told = kept.known(run)
        if told is not None and "versions" in told:
            found[run.tool.name] = told["versions"]
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure monitors on the same traffic.")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tools", nargs="*", choices=list(render.LABELS), help="run these alone")
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers", help="folder of the peers' environments")
    parser.add_argument("--kept", type=Path, help="folder of what was run; beside the environments if not given")
    parser.add_argument("--minutes", type=float, help="begin nothing new after so many minutes")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that one process may take")
    parser.add_argument("--at-once", type=int, default=1, help="processes at one time, where no costs are compared")
    parser.add_argument("--together", type=int, default=1, help="questions that one process is given, likewise")
    parser.add_argument("--references", type=int, nargs="*", default=list(tables.REFERENCES), help="rows, of tables")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--our-seeds", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=4, help="blocks of windows a seed")
    parser.add_argument("--block", type=int, default=50, help="windows of a block, and of a calibration seed")
    parser.add_argument("--embedding-seeds", type=int, default=20)
    parser.add_argument("--embedding-windows", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="of the costs")
    parser.add_argument("--quick", action="store_true", help="very few of everything; prints, writes nothing")
    parser.add_argument("--only-run", action="store_true", help="keep what is run, and tell nothing")
    parser.add_argument("--only-tell", action="store_true", help="run nothing: tell of what is kept")
    given = parser.parse_args()
    if given.quick:
        few = {"seeds": 2, "our_seeds": 2, "blocks": 1, "block": 4, "embedding_seeds": 2, "embedding_windows": 1}
        vars(given).update(few | {"rounds": 1, "parts": [part for part in given.parts if part != "costs"]})
    return given


def main() -> None:
    given = _arguments()
    tools, absent = tools_of(given)
    sources = ROOT / "src" / "backstay"
    mark = sources_mark(sources / "maths") + sources_mark(sources / "monitor")
    kept = Kept(given.kept or given.peers / "kept", {"backstay": mark})
    until = None if given.minutes is None else time.time() + 60 * given.minutes
    told: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    for part in given.parts:
        runs = questions(part, tools, given)
        if not given.only_tell:
            at_once, together = (1, 1) if part == "costs" else (given.at_once, given.together)
            kept.all(runs, given.limit, at_once, until, together)
        if not given.only_run:
            told.update(figures(part, kept, tools, given))
            versions.update(versions_of(kept, runs))
    if given.only_run:
        return
    if given.quick:
        print(json.dumps(told, indent=1))
    else:
        write(told, absent, versions, given.parts, mark)


if __name__ == "__main__":
    main()
