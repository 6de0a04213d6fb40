"""Runs of tools over seeds, in processes of each tool's own; what was run is kept: a stopped scoreboard goes on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
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

    def keep(self, run: Run, told: dict[str, Any]) -> None:
        """The answer; {"failed": why} where the tool failed or ran past the limit."""
        fresh = self.place(run).with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.replace(self.place(run))
        if "failed" in told:
            print(f"{run.tool.name} {run.kind} {run.given}: {told['failed']}", file=sys.stderr)

    def all(
        self, runs: Iterable[Run], limit: float, at_once: int, until: float | None = None, together: int = 1
    ) -> None:
        """Ask all, some processes at once; none is begun after `until` (seconds of the wall clock).

        `together`: how many questions of a kind one process of a tool is given, where no memory is compared. A process
        may take `limit` seconds, and what it has answered until then is kept.
        """

        def one(batch: list[Run]) -> None:
            if until is None or time.time() < until:
                for run, told in _ask(batch, limit):
                    self.keep(run, told)

        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, _batches([run for run in runs if self.known(run) is None], together)))


def _batches(runs: list[Run], together: int) -> list[list[Run]]:
    """In the order of their first questions."""
    found: list[list[Run]] = []
    last: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        batch = last.get((run.tool.name, run.kind))
        if batch is None or len(batch) >= together:
            batch = last[run.tool.name, run.kind] = []
            found.append(batch)
        batch.append(run)
    return found


def _ask(batch: list[Run], limit: float) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Each answer as it comes, then a failure for the first question without one."""
    tool, kind = batch[0].tool, batch[0].kind
    given = "[" + ",".join(run.given for run in batch) + "]"
    command = [str(tool.python), str(HERE / "side.py"), tool.name, kind, given]
    pipe, env, began, answered = subprocess.PIPE, {**os.environ, **QUIET}, time.monotonic(), 0
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=env, stdout=pipe, stderr=errors, text=True, cwd=HERE) as process,
    ):
        timer = threading.Timer(limit, process.kill)
        timer.start()
        for line in process.stdout or ():
            if line.startswith("{"):
                yield batch[answered], json.loads(line)
                answered += 1
        process.wait()
        timer.cancel()
        errors.seek(0)
        lines = errors.read().strip().splitlines() or [f"ended with {process.returncode}"]
    if answered < len(batch):
        late = time.monotonic() - began >= limit
        yield batch[answered], {"failed": f"no answer within {limit:.0f} s" if late else lines[-1][:200]}


def sources_mark(folder: Path) -> str:
    """A hash of all Python files below a folder, by path."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()
