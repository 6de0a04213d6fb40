"""Training that is killed at random moments and begun again ends at the very model of a run that nobody disturbed."""

from __future__ import annotations

import inspect
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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
from __future__ import annotations

import glob, json, os, signal, sys, time
from pathlib import Path
import torch, onnx, onnxscript
import backstay.train.loop, backstay.train.untrained, backstay.loop.run
from backstay.cli.main import run

{source}

def attempt(folder, more):
    if (folder / "backstay.toml").exists():
        return run(["run", "--project", str(folder)])
    os.write(1, trained(folder, **more).encode())
    return 0

print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(asked["answer"], os.O_WRONLY | os.O_CREAT), 1)
            code = attempt(Path(asked["folder"]), asked["more"])
        finally:
            os._exit(code)
    began = time.monotonic()
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < began + asked["seconds"]:
        time.sleep(0.002)
        if asked["begin"] and not glob.glob(asked["begin"]):
            began = time.monotonic()
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
"""Forks a process for each attempt, so that only one pays for the imports: it runs the project in the folder, or else
trains the network that the folder is named by. Where a pattern is given, the clock of the
attempt begins when there is a file of it."""

FOREVER = 600.0
KILLED = -int(signal.SIGKILL)


@dataclass
class Attempts:
    """Attempts at pieces of work, each in a folder of its own, and what became of each."""

    process: subprocess.Popen[str]
    codes: list[int] = field(default_factory=list)

    def one(self, folder: Path, seconds: float = FOREVER, *, begin: str = "", **more: Any) -> int:
        """Begin, and kill what is still at work after so long. Answers the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answer = answer_of(folder)
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.unlink(missing_ok=True)
        asked = {"seconds": seconds, "folder": str(folder), "answer": str(answer), "begin": begin, "more": more}
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        self.codes.append(int(self.process.stdout.readline()))
        return self.codes[-1]

    def kill(self, folder: Path, times: int, longest: float, seed: int, **more: Any) -> None:
        """Attempts that are killed at random moments up to `longest` seconds; a whole one is none of them."""
        rng = random.Random(seed)
        done = self.codes.count(KILLED)
        while self.codes.count(KILLED) < done + times:
            assert self.one(folder, rng.uniform(0.0, longest), **more) in (KILLED, 0, 3)


def answer_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.answer")


def trained(folder: Path, **more: Any) -> str:
    """The id of a small network that learns the task that the folder is named by. It stands on its own legs, because
    its source is what the killed process runs."""
    import numpy as np
    import pyarrow as pa

    from backstay.bundle.sets import texts_of
    from backstay.data.schema import conform, infer_schema
    from backstay.settings import Settings
    from backstay.train import loop, set_loop, value_loop

    task = folder.name
    x = np.random.default_rng(3).normal(size=(400, 3))
    fit, target, classes = {
        "classification": (loop.fit, np.where(x[:, 0] > 0, "u", "v").tolist(), ("u", "v")),
        "regression": (value_loop.fit, 9 + 4 * x[:, 0], ()),
        "multilabel": (set_loop.fit, texts_of(x[:, :2] > 0, ("p", "q")).tolist(), ("p", "q")),
    }[task]
    table = pa.table({**{f"x{i}": x[:, i] for i in range(3)}, "y": target})
    schema = infer_schema(table, target="y", task=task)
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    wanted = {"epochs": 30, "patience": 30, "batch_size": 32, "dimension": 8, **more}
    recipe = Settings.model_validate({"task": task, "train": wanted}).train
    return fit(conform(table, schema), schema, parts, recipe, classes=classes, workdir=folder).model_id


@pytest.fixture(scope="module")
def work() -> Iterator[Attempts]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING.replace("{source}", inspect.getsource(trained))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Attempts(process)
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


def test_a_run_that_is_killed_ends_at_the_same_model(
    tiny: Any, work: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = undisturbed(tiny)
    saved = str(tiny.folder / ".backstay" / "training" / "*.npz")
    assert work.one(tiny.folder, random.Random().uniform(0.0, 0.1), begin=saved) == KILLED
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


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_networks_of_numbers_and_of_sets_that_are_killed_end_at_the_same_models(
    task: str, tmp_path: Path, work: Attempts
) -> None:
    calm, killed = tmp_path / "calm" / task, tmp_path / "killed" / task
    assert work.one(killed, random.Random().uniform(0.0, 0.1), begin=str(killed / "*.npz")) == KILLED
    assert list(killed.glob("*.npz"))
    assert trained(killed) == trained(calm)
    assert not list(killed.glob("*.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_run_that_is_killed_twenty_times_ends_at_the_same_model(tiny: Any, work: Attempts, seed: int) -> None:
    calm = undisturbed(tiny)
    again = tiny.folder.with_name("again")
    shutil.copytree(tiny.folder, again)
    began = time.monotonic()
    assert work.one(again) in (0, 3)
    work.kill(tiny.folder, 20, time.monotonic() - began, seed)
    assert work.one(tiny.folder) in (0, 3)
    assert_same(tiny.folder, calm)
    assert_same(again, calm)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "objective"),
    [
        ("classification", "supcon"),
        ("classification", "cross_entropy"),
        ("regression", "huber"),
        ("multilabel", "binary_cross_entropy"),
    ],
)
def test_a_trainer_that_is_killed_forty_times_ends_at_the_same_model(
    tmp_path: Path, work: Attempts, task: str, objective: str
) -> None:
    calm, killed = tmp_path / "calm" / task, tmp_path / "killed" / task
    began = time.monotonic()
    assert work.one(calm, objective=objective) == 0
    work.kill(killed, 40, time.monotonic() - began, seed=4, objective=objective)
    assert work.one(killed, objective=objective) == 0
    assert answer_of(killed).read_text() == answer_of(calm).read_text()
    [bundle] = (killed / "bundles").glob("model-*")
    assert bundle.name == answer_of(killed).read_text()
    assert not list(killed.glob("*.npz"))
