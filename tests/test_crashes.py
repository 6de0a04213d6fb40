"""Processes that die: servers and promotions killed, two promoters at once, Ctrl-C. What was promised stands."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.cli.main import run
from backstay.loop.lookup import window_results
from backstay.project import Project

PROMOTING = """
import sys
from pathlib import Path
from backstay.project import Project

project = Project.open(sys.argv[1])
files = [Path(sys.argv[1]) / "good.onnx", Path(sys.argv[1]) / "champion.onnx"]
names = {project.models.offer(file).model.id: file for file in files}
print("ready", flush=True)
while True:
    live = project.releases.champion().model_id
    [(model, file)] = [(m, f) for m, f in names.items() if m != live]
    project.models.offer(file)
    print(project.releases.promote(model, reason="its turn").id, flush=True)
"""
"""Promotes one model after the other, as fast as it can, and says which release it was told is live."""

RACING = """
import sys
from backstay.cli.main import run

print("ready", flush=True)
sys.stdin.readline()
sys.exit(run(["promote", sys.argv[2], "--project", sys.argv[1], "--json"]))
"""


def start(code: str, *arguments: str, **more) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **more,
    )


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backstay.cli.main", *arguments, "--project", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def assert_sound(folder: Path) -> list[str]:
    """Exactly one champion, an unbroken chain, whole bundles; answers the ids of all releases, oldest first."""
    project = Project.open(folder)
    verified = project.verify()
    assert verified.sound, verified.problems
    releases = project.releases.history().releases
    assert [r.sequence for r in releases] == list(range(1, len(releases) + 1))
    assert project.releases.champion().id == releases[-1].id
    assert [r.previous for r in releases] == [None, *(r.id for r in releases[:-1])]
    return [r.id for r in releases]


class Asking(threading.Thread):
    """One client that asks row after row and remembers which ids were acknowledged."""

    def __init__(self, server, asked, stem: str) -> None:
        super().__init__(daemon=True)
        self._server, self._asked, self._stem = server, asked, stem
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        connection = self._server.connect()
        headers = {"Authorization": f"Bearer {self._server.token}"}
        number = 0
        while not self.ended.is_set():
            value = float(number % 5) - 2.0
            body = json.dumps(self._asked([value], [0.5], prediction_ids=[f"{self._stem}-{number}"]))
            try:
                connection.request("POST", "/v2/models/tiny/infer", body, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                break
            if response.status == 200 and answer["parameters"]["logged"]:
                self.acknowledged += answer["parameters"]["prediction_ids"]
            else:
                self.errors.append(f"{response.status}: {answer}")
            number += 1
        connection.close()


def logged_ids(folder: Path) -> set[str]:
    return set(Project.open(folder).ws.journal.ids("tiny", "production"))


def kill_servers(tiny, serving_process, asked, times: int) -> list[float]:
    """Kill a server under load, again and again; answers how long each took to be ready."""
    acknowledged: set[str] = set()
    starts: list[float] = []
    token = ""
    for number in range(times):
        began = time.monotonic()
        server = serving_process(tiny.folder, token)
        assert server.call("GET", "/v2/health/ready")[1]["ready"] is True
        starts.append(time.monotonic() - began)
        token = server.token
        clients = [Asking(server, asked, f"k{number}-{i}") for i in range(3)]
        for client in clients:
            client.start()
        deadline = time.monotonic() + 30
        while sum(len(c.acknowledged) for c in clients) < 15 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.01 * (number % 7))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for client in clients:
            client.join(30)
            assert client.errors == []
            acknowledged |= set(client.acknowledged)
        assert len(acknowledged) >= 15 * (number + 1)
        assert acknowledged <= logged_ids(tiny.folder)
        assert len(assert_sound(tiny.folder)) == 1
    status = json.loads(cli(tiny.folder, "status", "--json").stdout)
    assert status["logged_rows"] >= len(acknowledged)
    return starts


def test_a_killed_server_loses_no_acknowledged_prediction(tiny, serving_process, asked):
    kill_servers(tiny, serving_process, asked, 2)


@pytest.mark.slow
def test_fifty_killed_servers(tiny, serving_process, asked):
    starts = kill_servers(tiny, serving_process, asked, 50)
    print(f"ready after {max(starts):.2f} s at most, {sum(starts) / len(starts):.2f} s in the mean")
    assert max(starts) < 5.0


def kill_promotions(tiny, times: int) -> list[str]:
    """Kill a process that promotes without pause, at random moments; answers all releases."""
    rng = random.Random(7)
    releases = assert_sound(tiny.folder)
    for _ in range(times):
        process = start(PROMOTING, str(tiny.folder), stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        told = [process.stdout.readline().strip()]
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        now = assert_sound(tiny.folder)
        assert now[: len(releases)] == releases
        # Whoever was told that a release is live is right; at most one more was committed and not yet told.
        whole = [line for line in told if line in now]
        assert now[len(releases) :][: len(whole)] == whole
        assert len(now) - len(releases) - len(whole) <= 1
        releases = now
    return releases


def test_a_killed_promotion_leaves_exactly_one_champion(tiny):
    assert len(kill_promotions(tiny, 3)) > 3


@pytest.mark.slow
def test_fifty_killed_promotions(tiny):
    releases = kill_promotions(tiny, 50)
    print(f"{len(releases)} releases over 50 kills")
    assert len(releases) > 50


def test_of_two_promoters_one_wins_and_the_other_is_told_why(tiny, threshold):
    """Both were measured against the same champion; whoever is second would replace a model that it never met."""
    project = Project.open(tiny.folder)
    (tiny.folder / "other.onnx").write_bytes(threshold((2.0, 2.05)))
    candidates = [project.models.offer(tiny.folder / f"{n}.onnx").model.id for n in ("good", "other")]
    racers = [start(RACING, str(tiny.folder), c, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for c in candidates]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = []
    for racer in racers:
        out, err = racer.communicate(timeout=30)
        results.append((racer.returncode, json.loads(out), err))
    assert sorted(code for code, _, _ in results) == [0, 3]
    [(_, won, _)] = [r for r in results if r[0] == 0]
    [(_, lost, err)] = [r for r in results if r[0] == 3]
    assert won["model_id"] in lost["error"]
    assert "somebody else was first" in lost["fix"]
    assert err.startswith("refused: ")
    assert assert_sound(tiny.folder)[1:] == [won["id"]]
    [refused] = [row for row in project.releases.history().events if row.kind == "promotion_refused"]
    assert refused.body["why"] == lost["error"]
    assert refused.body["champion"] == won["model_id"]
    assert {refused.body["candidate"], won["model_id"]} == set(candidates)


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Ctrl-C, or what a service manager sends; answers what the process wrote to standard error until it ended.

    Python loses an interrupt that comes while an object is being finalised; a person then presses the keys again.
    """
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    return err


def background(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "backstay.cli.main", *arguments, "--project", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_stop_leaves_the_champion_and_a_sound_store(tiny, number, code):
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text() + "\n[train]\nepochs = 5000\npatience = 5000\n")
    before = tiny.tables()
    process = background(tiny.folder, "run")
    assert process.stderr is not None
    for line in process.stderr:
        if '"audit"' in line:
            break
    checkpoints = tiny.folder / ".backstay" / "training"
    deadline = time.monotonic() + 60
    while not list(checkpoints.rglob("*.npz")) + list(checkpoints.rglob("*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    err = interrupt(process, number)
    assert process.returncode == code
    assert "stopped" in err
    assert "Traceback" not in err
    assert len(assert_sound(tiny.folder)) == 1
    after = tiny.tables()
    assert after["releases"] == before["releases"]
    assert after["ledger"][: len(before["ledger"])] == before["ledger"]
    assert {row[3] for row in after["ledger"][len(before["ledger"]) :]} <= {"data"}


DAYS = 60


def days_of_traffic(tiny) -> None:
    """Sixty days, forty rows each, logged by somebody else's server; their distribution moves half-way."""
    rng = np.random.default_rng(3)
    n = DAYS * 40
    a, b = rng.normal(size=n) + (np.arange(n) > n / 2), rng.normal(size=n)
    chance = 1 / (1 + np.exp(-4 * (a + b)))
    at = np.datetime64("2026-01-01", "us") + (np.arange(n) * 86_400_000_000 // 40).astype("timedelta64[us]")
    table = pa.table(
        {
            "id": [f"t-{i}" for i in range(n)],
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "prediction": np.where(chance > 0.5, "yes", "no").tolist(),
            "score": chance,
            "a": a,
            "b": b,
        }
    )
    pq.write_table(table, tiny.folder / "traffic.parquet")
    file = tiny.folder / "backstay.toml"
    columns = '\n[predictions]\ntime = "at"\nscore = "score"\npositive = "yes"\n'
    file.write_text(file.read_text() + columns + "[watch]\nwindow_days = 1.0\nminimum_rows = 20\n")
    assert run(["log", tiny.file("traffic.parquet"), "--project", str(tiny.folder)]) == 0


def judged(folder: Path) -> list[dict[str, object]]:
    """What each window came to, oldest first, without what differs from run to run."""
    project = Project.open(folder)
    return [
        {
            "start": w.start,
            "end": w.end,
            "rows": w.rows,
            "condition": w.condition,
            "evidence": [(s.detector, s.evidence, s.alarm) for s in w.signals],
            "budget": w.budget_spent,
        }
        for w in window_results(project.ws)
    ]


def test_ctrl_c_in_a_watch_and_once_more_judges_each_window_once(tiny):
    days_of_traffic(tiny)
    calm = tiny.folder.parent / "calm"
    shutil.copytree(tiny.folder, calm)
    process = background(tiny.folder, "watch")
    deadline = time.monotonic() + 60
    while len(judged(tiny.folder)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    err = interrupt(process)
    assert process.returncode == 130, err
    assert "stopped" in err
    done = judged(tiny.folder)
    assert 3 <= len(done) < DAYS
    assert_sound(tiny.folder)
    for folder in (tiny.folder, calm):
        assert run(["watch", "--project", str(folder)]) in (0, 3)
    whole, expected = judged(tiny.folder), judged(calm)
    assert len(whole) >= DAYS - 1
    assert whole[: DAYS - 1] == expected[: DAYS - 1]
    assert any(alarm for window in whole for _, _, alarm in window["evidence"])
    assert_sound(tiny.folder)
