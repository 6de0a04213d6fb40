"""Real data sets, and a stranger who knows nothing but the command line.

`BACKSTAY_DATA` names the folder of the data sets; a set that is not there fails its tests, so that CI cannot pass by
leaving it out.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER_VARIABLE = "BACKSTAY_DATA"
BACKSTAY = Path(sys.executable).with_name("backstay")
STOP_WITHIN = 30


@dataclass(frozen=True)
class Server:
    """A running `backstay serve`.

    Args:
        url: where it listens. key: what it lets in.
    """

    url: str
    key: str

    def ask(self, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and JSON answer of one request: POST with a body, GET without."""
        request = urllib.request.Request(  # noqa: S310 - the address is our own server's
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")


@dataclass(frozen=True)
class Stranger:
    """Somebody in a folder of their own who types commands.

    Args:
        clock: a file that holds the time, for those who cannot wait for months.
    """

    folder: Path
    clock: Path | None = None

    def types(self, *arguments: str | Path, code: int = 0) -> str:
        """What a command printed; it must end with this exit code."""
        done = self.runs(*arguments)
        told = f"backstay {' '.join(map(str, arguments))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        return done.stdout

    def runs(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command, however it ends."""
        return subprocess.run(
            [str(BACKSTAY), *map(str, arguments)],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=280,
        )

    def asks(self, *arguments: str | Path, code: int = 0) -> Any:
        """The same with --json, read."""
        return json.loads(self.types(*arguments, "--json", code=code))

    @contextmanager
    def serves(self) -> Iterator[Server]:
        """A server on a free port, with a key; it is told to stop at the end and must end well."""
        key = self.asks("key", "create", "app")["token"]
        process = subprocess.Popen(
            [str(BACKSTAY), "serve", "--port", "0", "--json"],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout:
            try:
                events = (json.loads(line) for line in process.stdout)
                url = next(event["url"] for event in events if event["event"] == "serving")
                yield Server(url, key)
            finally:
                process.send_signal(signal.SIGTERM)
                code = process.wait(STOP_WITHIN)
        assert code == 0

    def _environment(self) -> dict[str, str]:
        told = {} if self.clock is None else {"BACKSTAY_CLOCK": str(self.clock)}
        return {**os.environ, "OMP_NUM_THREADS": "1", "BACKSTAY_ACTOR": "a stranger", **told}


@pytest.fixture(scope="session")
def data_set() -> Callable[[str], Path]:
    """The path of a file of the data sets; fails where it is missing."""

    def find(name: str) -> Path:
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            pytest.fail(f"{FOLDER_VARIABLE} is not set: it names the folder of the real data sets")
        path = Path(folder) / name
        if not path.is_file():
            pytest.fail(f"there is no {path}: {FOLDER_VARIABLE} names the folder of the real data sets")
        return path

    return find


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


@pytest.fixture
def stranger_with_clock(tmp_path: Path) -> Stranger:
    """Somebody whose time stands in the file `clock` of their folder."""
    return Stranger(tmp_path, tmp_path / "clock")


@pytest.fixture(autouse=True)
def cost(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Wall time, and processor time of this process and of those it started, in the report of each test."""
    began, before = time.perf_counter(), _processor_seconds()
    yield
    wall, processor = time.perf_counter() - began, _processor_seconds() - before
    record_property("wall_seconds", round(wall, 1))
    record_property("processor_seconds", round(processor, 1))
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f" {request.node.name}: {wall:.1f} s, {processor:.1f} s of processor")


def _processor_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)
