"""Files that the examples name, a reader of pages, and a shell that runs their commands as a user would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.cli.main import run
from backstay.loop.label import live_rows

ROOT = Path(__file__).resolve().parents[2]
OTHERS_WORK = ("git ", "make ", "pip ", "$EDITOR ")
PORT = "127.0.0.1:8080"
FEATURES = ("tenure", "charges", "calls")
DEADLINE = 60


def customers(rows: int, seed: int, fading: bool = False) -> pa.Table:
    """Customers of whom the unhappy leave: three numbers that tell it, and one odd customer in twenty. `fading`: calls
    for help count the less the longer somebody has stayed, so that an encoder sees what a line does not."""
    rng = np.random.default_rng(seed)
    tenure = rng.gamma(2.0, 12.0, rows)
    charges = rng.normal(60.0, 15.0, rows)
    calls = rng.poisson(2.0, rows).astype(float)
    line = 0.9 * calls + 0.05 * (charges - 60.0) - 0.06 * (tenure - 24.0) > 2.2
    unhappy = 1.8 * calls * np.exp(-tenure / 24.0) + 0.05 * (charges - 60.0) > 1.8 if fading else line
    leaves = unhappy ^ (rng.random(rows) < 0.05)
    return pa.table(
        {
            "id": [f"c{seed}-{i}" for i in range(rows)],
            "tenure": tenure.round(2),
            "charges": charges.round(2),
            "calls": calls,
            "region": rng.choice(["north", "south"], rows),
            "churn": np.where(leaves, "1", "0"),
        }
    )


def classifier(rows: pa.Table, features: tuple[str, ...]) -> bytes:
    """Somebody's scikit-learn model of churn as ONNX, knowing these features only."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.column_stack([rows.column(name).to_numpy() for name in FEATURES]).astype(np.float32)
    keep = np.array([float(name in features) for name in FEATURES], dtype=np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(x * keep, rows.column("churn").to_numpy(zero_copy_only=False).astype(str))
    coefficients = model.named_steps["logisticregression"].coef_
    coefficients[:, keep == 0] = 0.0
    return bytes(
        to_onnx(model, x[:1], options={"zipmap": False}, target_opset={"": 20, "ai.onnx.ml": 3}).SerializeToString()
    )


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the examples begin from."""
    folder = tmp_path_factory.mktemp("files")
    quarter = customers(1200, 1)
    inputs = [*FEATURES, "churn"]
    pq.write_table(quarter.select(["id", *inputs]), folder / "last_quarter.parquet")
    before = customers(2000, 2)
    (folder / "model.onnx").write_bytes(classifier(before, ("tenure", "calls")))
    (folder / "better.onnx").write_bytes(classifier(before, FEATURES))
    pq.write_table(before.select(["id", *inputs]), folder / "training.parquet")
    pq.write_table(answered(customers(400, 3), 0), folder / "yesterday.parquet")
    pq.write_table(answered(customers(1200, 4), 0, keep="churn"), folder / "answered_quarter.parquet")
    pq.write_table(customers(900, 5, fading=True), folder / "customers.parquet")
    pq.write_table(customers(300, 6, fading=True).drop_columns(["churn"]), folder / "new_customers.parquet")
    return folder


def answered(rows: pa.Table, seed: int, keep: str = "") -> pa.Table:
    """What another server answered: id, prediction, score and inputs."""
    calls = rows.column("calls").to_numpy()
    score = 1 / (1 + np.exp(-(calls - 2.6)))
    table = rows.select(["id", *FEATURES, *([keep] if keep else [])])
    table = table.append_column("prediction", pa.array(np.where(score > 0.5, "1", "0")))
    return table.append_column("score", pa.array(score))


@dataclass
class Shell:
    """A folder and its environment. `backstay` runs in this process, the server and what needs a shell outside."""

    folder: Path
    environment: dict[str, str]
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    url: str = f"http://{PORT}"

    def type(self, line: str) -> tuple[int, str]:
        """Run one line as it stands on the page; answers the exit code and what was printed by an outer shell."""
        command = re.split(r"\s+#\s", line, maxsplit=1)[0].strip().removeprefix("$ ")
        if not command or command.startswith(("#", *OTHERS_WORK)):
            return 0, ""
        self._bring_outcomes(command)
        if command.startswith("backstay serve"):
            self._serve(command)
            return 0, ""
        if command.startswith("backstay ") and not re.search(r"[|>&;]|\$\(", command):
            return run([os.path.expandvars(a) for a in shlex.split(command)[1:]]), ""
        assigned = re.fullmatch(r"([A-Z]+)=(\$\(.*\))", command)
        script = f"printf %s {assigned[2]}" if assigned else command.replace(f"http://{PORT}", self.url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        if assigned:
            self.environment[assigned[1]] = done.stdout.strip()
        return done.returncode, done.stdout + done.stderr

    def _bring_outcomes(self, command: str) -> None:
        """The outside world: truth comes in for what was logged, in the file that a command is about to read."""
        for name, maker in OUTCOMES.items():
            if name in command and "--export" not in command and not (self.folder / name).exists():
                maker(self.folder, self.folder / name)

    def _serve(self, command: str) -> None:
        arguments = [*shlex.split(command)[1:], "--json"]
        if "--port" not in arguments:
            arguments += ["--port", "0"]
        server = subprocess.Popen(
            [sys.executable, "-m", "backstay.cli.main", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        alarm = threading.Timer(DEADLINE, server.kill)
        alarm.start()
        assert server.stdout is not None
        for said in server.stdout:
            found = re.search(r'"url": *"([^"]+)"', said)
            if found:
                self.url = found[1]
                alarm.cancel()
                return
        raise AssertionError(f"the server ended with {server.wait()} before it served")

    def begin(self) -> None:
        """Leave the project so far: servers stop, and what it wrote goes aside. The files to begin from stay."""
        self.close()
        self.servers.clear()
        for name in ("backstay.toml", ".backstay", *OUTCOMES):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            try:
                assert server.wait(30) == 0
            finally:
                server.kill()
                if server.stdout is not None:
                    server.stdout.close()


def truth() -> dict[str, str]:
    """The label of every row that an example may have logged, by id; those without one, logged from Python, stay."""
    rows = pa.concat_tables([customers(400, 3), customers(300, 6, fading=True)])
    return dict(zip(rows.column("id").to_pylist(), rows.column("churn").to_pylist(), strict=True))


def _outcomes(folder: Path, target: Path) -> None:
    """id and label of every row that has been logged."""
    known = truth()
    ids = [str(i) for i in live_rows(backstay.open(folder).ws).ids if str(i) in known]
    csv.write_csv(pa.table({"id": ids, "label": [known[i] for i in ids]}), target)


def _reviewed(folder: Path, target: Path) -> None:
    """The exported queue with its labels filled in, as a reviewer hands it back."""
    ids = csv.read_csv(folder / "to_review.csv").column("id").to_pylist()
    csv.write_csv(pa.table({"id": ids, "label": [truth().get(i, "0") for i in ids]}), target)


OUTCOMES: Mapping[str, Callable[[Path, Path], None]] = {"outcomes.csv": _outcomes, "reviewed.csv": _reviewed}


@pytest.fixture
def shell(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A fresh folder with the files of `files`, as the current one."""
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    opened = Shell(tmp_path, {"EDITOR": "true"})
    try:
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True)
class Block:
    """Consecutive lines of code on a page: `language` is empty for an indented or unnamed one."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def commands(self) -> list[str]:
        """Lines with those that end in a backslash joined to the next."""
        return re.sub(r"\\\n\s*", "", "\n".join(self.lines)).splitlines()


def _blocks(page: str) -> list[Block]:
    lines = (ROOT / page).read_text().splitlines()
    found: list[Block] = []
    place = 0
    while place < len(lines):
        begin = place
        if lines[place].startswith("```"):
            language = lines[place][3:].strip()
            end = next(i for i in range(place + 1, len(lines)) if lines[i].startswith("```"))
            found.append(Block(page, begin + 1, language, tuple(lines[begin + 1 : end])))
            place = end + 1
        elif lines[place].startswith("    "):
            while place < len(lines) and lines[place].startswith("    "):
                place += 1
            found.append(Block(page, begin + 1, "", tuple(line[4:] for line in lines[begin:place])))
        else:
            place += 1
    return found


@pytest.fixture(scope="session")
def blocks() -> Callable[[str], list[Block]]:
    """The code blocks of a page, by its path below the repository."""
    return _blocks
