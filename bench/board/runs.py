"""Runs of tools over seeds, each in its own process; what was run is kept, so that a stopped scoreboard goes on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Nothing is sent anywhere, and one thread each.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, what it is called in the tables, and the Python that it is installed for."""

    name: str
    label: str
    python: Path

    @property
    def script(self) -> Path:
        return HERE / f"side_{self.name}.py"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tool: what it is asked for, as JSON."""

    tool: Tool
    kind: str
    given: str

    @staticmethod
    def of(tool: Tool, kind: str, **given: Any) -> Run:
        return Run(tool, kind, json.dumps(given, sort_keys=True))


class Kept:
    """Answers in a folder, by tool, question and the text of the scripts that were asked."""

    def __init__(self, folder: Path, also: dict[str, str]) -> None:
        """`also`: what else an answer depends on, by tool (the hash of its sources)."""
        self.folder, self.also = folder, also
        folder.mkdir(parents=True, exist_ok=True)
        self.scripts = {path.name: path.read_bytes() for path in sorted(HERE.glob("*.py"))}

    def place(self, run: Run) -> Path:
        own = f"{run.kind}_{run.tool.name}.py"
        common = b"".join(self.scripts[name] for name in ("side.py", "worlds.py", run.tool.script.name))
        common += self.scripts.get(own, b"") + self.scripts.get(f"worlds_{run.kind}.py", b"")
        mark = hashlib.sha256(common + self.also.get(run.tool.name, "").encode() + run.given.encode()).hexdigest()[:16]
        return self.folder / f"{run.tool.name}-{run.kind}-{mark}.json"

    def known(self, run: Run) -> dict[str, Any] | None:
        place = self.place(run)
        return json.loads(place.read_text()) if place.is_file() else None

    def ask(self, run: Run, limit: float) -> dict[str, Any]:
        """The answer; {"failed": why} where the tool failed or ran past the limit."""
        found = self.known(run)
        if found is None:
            found = _ask(run, limit)
            fresh = self.place(run).with_suffix(".new")
            fresh.write_text(json.dumps(found))
            fresh.replace(self.place(run))
        return found

    def all(self, runs: Iterable[Run], limit: float, at_once: int, until: float | None = None) -> None:
        """Ask all, some at once; none is begun after `until` (seconds of the wall clock)."""

        def one(run: Run) -> None:
            if until is None or time.time() < until:
                told = self.ask(run, limit)
                if "failed" in told:
                    print(f"{run.tool.name} {run.kind} {run.given}: {told['failed']}", file=sys.stderr)

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, runs))


def _ask(run: Run, limit: float) -> dict[str, Any]:
    command = [str(run.tool.python), str(HERE / "side.py"), run.tool.name, run.kind, run.given]
    try:
        done = subprocess.run(
            command, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False, timeout=limit, cwd=HERE
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer within {limit:.0f} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"failed": lines[-1][:200]}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def sources_mark(folder: Path) -> str:
    """A hash of all Python files below a folder, by path."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()
