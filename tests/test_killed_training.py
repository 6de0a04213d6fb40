"""Training that is killed at random moments and begun again ends at the very model of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backstay.bundle.model import load
from backstay.cli.main import run
from backstay.kernel.records import DataVersion, ModelRecord
from backstay.project import Project
from backstay.train import checkpoint

FORKING = """
import glob, os, signal, sys, time
import torch, onnx, onnxscript
import backstay.train.loop, backstay.train.untrained, backstay.loop.run
{prepared}
print("ready", flush=True)
for line in sys.stdin:
    seconds, answer = line.strip().split(" ", 1)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(answer, os.O_WRONLY | os.O_CREAT), 1)
            code = attempt()
        finally:
            os._exit(code)
    began = time.monotonic()
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < began + float(seconds):
        time.sleep(0.002)
        if len(sys.argv) > 2 and not glob.glob(sys.argv[2]):
            began = time.monotonic()
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
"""Forks a process for each attempt, so that only one pays for the imports. With a second argument the clock of each
attempt begins when there is a file of that pattern."""

TRAINING = """
import numpy as np, pyarrow as pa
from pathlib import Path
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings

rng = np.random.default_rng(3)
x = rng.normal(size=(400, 3))
table = pa.table({**{f"x{i}": x[:, i] for i in range(3)}, "y": np.where(x[:, 0] > 0, "u", "v").tolist()})
columns = (*(Column(f"x{i}", ColumnKind.NUMBER) for i in range(3)), Column("y", ColumnKind.CATEGORY))
schema = Schema(columns, ("x0", "x1", "x2"), target="y")
parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
recipe = TrainSettings(epochs=30, patience=30, batch_size=32, dimension=8, **MORE)

def attempt():
    trained = backstay.train.loop.fit(table, schema, parts, recipe, classes=("u", "v"), workdir=Path(sys.argv[1]))
    os.write(1, trained.model_id.encode())
    return 0
"""

RUNNING = """
from backstay.cli.main import run

def attempt():
    return run(["run", "--project", sys.argv[1]])
"""


FOREVER = 600.0
KILLED = -int(signal.SIGKILL)


@dataclass
class Attempts:
    """Attempts at one piece of work in a folder of its own, and what became of each."""

    process: subprocess.Popen[str]
    answer: Path
    codes: list[int] = field(default_factory=list)

    def one(self, seconds: float = FOREVER) -> int:
        """Begin, and kill what is still at work after so long. Answers the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.answer.unlink(missing_ok=True)
        self.process.stdin.write(f"{seconds} {self.answer}\n")
        self.process.stdin.flush()
        self.codes.append(int(self.process.stdout.readline()))
        return self.codes[-1]

    def kill(self, times: int, longest: float, seed: int) -> None:
        """Attempts that are killed at random moments up to `longest` seconds; a whole one is none of them."""
        rng = random.Random(seed)
        while self.codes.count(KILLED) < times:
            assert self.one(rng.uniform(0.0, longest)) in (KILLED, 0, 3)


@contextmanager
def attempts(prepared: str, folder: Path, *begin: str) -> Iterator[Attempts]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING.format(prepared=prepared), str(folder), *begin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Attempts(process, folder.with_name(f"{folder.name}.answer"))
    finally:
        process.kill()
        process.communicate()


def undisturbed(tiny: Any) -> Path:
    """The folder of the same project, run calmly in this process."""
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text() + "\n[train]\nepochs = 40\npatience = 40\ndimension = 8\n")
    calm = tiny.folder.with_name("calm")
    shutil.copytree(tiny.folder, calm)
    assert run(["run", "--project", str(calm)]) in (0, 3)
    return calm


def made(folder: Path) -> str:
    """The one model that was trained here."""
    [record] = [m for m in Project.open(folder).ws.catalog.find("model", ModelRecord) if m.origin == "trained"]
    return record.id


def assert_same(folder: Path, calm: Path) -> None:
    """What was killed has one model, one trail and no half of anything, as has what was not."""
    assert made(folder) == made(calm)
    project, other = Project.open(folder), Project.open(calm)
    verified = project.verify()
    assert verified.sound, verified.problems
    assert {v.id for v in project.ws.catalog.find("data", DataVersion)} == {
        v.id for v in other.ws.catalog.find("data", DataVersion)
    }
    assert len(list(project.ws.ledger.rows("model"))) == len(list(other.ws.ledger.rows("model")))
    assert project.releases.champion().model_id == other.releases.champion().model_id
    assert not list((folder / ".backstay" / "training").glob("*.npz"))
    load(folder / ".backstay" / "bundles" / made(folder), expected_id=made(folder))


def test_a_run_that_is_killed_ends_at_the_same_model(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = undisturbed(tiny)
    saved = str(tiny.folder / ".backstay" / "training" / "*.npz")
    with attempts(RUNNING, tiny.folder, saved) as work:
        assert work.one(random.Random().uniform(0.0, 0.1)) == KILLED
    done: list[int] = []
    real = checkpoint.restore

    def restored(*given: Any) -> Any:
        found = real(*given)
        done.append(0 if found is None else len(found[1]["history"]))
        return found

    monkeypatch.setattr(checkpoint, "restore", restored)
    assert run(["run", "--project", str(tiny.folder)]) in (0, 3)
    assert done[0] > 0
    assert_same(tiny.folder, calm)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_run_that_is_killed_twenty_times_ends_at_the_same_model(tiny: Any, seed: int) -> None:
    calm = undisturbed(tiny)
    again = tiny.folder.with_name("again")
    shutil.copytree(tiny.folder, again)
    with attempts(RUNNING, again) as work:
        began = time.monotonic()
        assert work.one() in (0, 3)
        took = time.monotonic() - began
    with attempts(RUNNING, tiny.folder) as work:
        work.kill(20, took, seed)
        assert work.one() in (0, 3)
    assert_same(tiny.folder, calm)
    assert_same(again, calm)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["supcon", "cross_entropy"])
def test_a_trainer_that_is_killed_forty_times_ends_at_the_same_model(tmp_path: Path, objective: str) -> None:
    code = TRAINING.replace("MORE", repr({"objective": objective}))
    with attempts(code, tmp_path / "calm") as calm:
        began = time.monotonic()
        assert calm.one() == 0
        took = time.monotonic() - began
    with attempts(code, tmp_path / "killed") as work:
        work.kill(40, took, seed=4)
        assert work.one() == 0
        assert work.answer.read_text() == calm.answer.read_text()
    [bundle] = (tmp_path / "killed" / "bundles").glob("model-*")
    assert bundle.name == work.answer.read_text()
    assert not list((tmp_path / "killed").glob("*.npz"))
