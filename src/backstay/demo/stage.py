"""Where the story is played: a project folder, a clock that the demo moves, the command line, a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backstay.kernel.clock import CLOCK_VARIABLE, FileClock
from backstay.kernel.errors import BackstayError

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SERVER_PATIENCE = 20.0


@dataclass
class Stage:
    """Runs `backstay` as anybody would, under an injected clock, and remembers what was run."""

    folder: Path
    begin: datetime = BEGIN
    now: datetime = BEGIN
    commands: list[tuple[str, float]] = field(default_factory=list)
    _server: subprocess.Popen[str] | None = None
    peak_bytes: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = FileClock(self.folder / "clock.txt")
        self.clock.set(self.now)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            CLOCK_VARIABLE: str(self.clock.path),
            "BACKSTAY_ACTOR": "demo",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONWARNINGS": "ignore",
        }

    def advance(self, step: timedelta) -> None:
        """Let time pass for every process."""
        self.now += step
        self.clock.set(self.now)

    def cli(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> Any:
        """Run a verb with --json and answer what it printed. Another exit code than these is a failure of the demo."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "backstay.cli.main", *arguments, "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.commands.append((" ".join(("backstay", *arguments)), time.monotonic() - began))
        if done.returncode not in accept:
            raise BackstayError(
                f"`backstay {' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()[-2000:]}",
                fix="this is a fault of the demo; please report it",
            )
        value = json.loads(done.stdout) if done.stdout.strip() else {}
        if isinstance(value, dict):
            value["exit_code"] = done.returncode
        return value

    def serve(self) -> str:
        """Start the server on a free port of loopback; answers its address."""
        log = (self.folder / "server.log").open("w")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "backstay.cli.main", "serve", "--port", "0", "--json"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        found: list[str] = []
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(found, ready), daemon=True).start()
        ready.wait(SERVER_PATIENCE)
        if not found:
            self.stop()
            raise BackstayError("the server did not start", fix=f"see {self.folder / 'server.log'}")
        return found[0]

    def _listen(self, found: list[str], ready: threading.Event) -> None:
        """Read what the server tells as long as it lives, so that it never waits for a reader."""
        if self._server is None or self._server.stdout is None:
            return
        for line in self._server.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "serving" and not found:
                found.append(str(event["url"]))
                ready.set()
        ready.set()

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        if self._server.stdout is not None:
            self._server.stdout.close()
        self._server = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class MemoryWatch(threading.Thread):
    """The most resident memory that this process and its descendants held together, in bytes (Linux)."""

    def __init__(self, every: float = 0.2) -> None:
        super().__init__(daemon=True)
        self._every = every
        self._ended = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._ended.wait(self._every):
            self.peak = max(self.peak, family_bytes(os.getpid()))

    def finish(self) -> int:
        self._ended.set()
        self.join()
        return self.peak


def family_bytes(root: int) -> int:
    """Resident bytes of a process and all its descendants, by /proc; 0 where there is none."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    page = os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        resident[int(entry.name)] = int(fields[21]) * page
    total, family = 0, {root}
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in family} - family
        family |= children
        grown = bool(children)
    for pid in family:
        total += resident.get(pid, 0)
    return total
