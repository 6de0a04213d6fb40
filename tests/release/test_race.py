"""Two promoters at once, and promotions that are killed: always one champion, one story."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import Refused
from backstay.release.promote import promote
from backstay.store.sql import open_store

PROMOTER = """
import sys
from pathlib import Path
from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import Refused
from backstay.kernel.ids import event_id
from backstay.kernel.records import RuleOutcome, Verdict
from backstay.release.promote import promote
from backstay.store.sql import open_store

folder, name, turns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
clock = SystemClock()
store = open_store(folder, clock, create=True)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(turns):
    champion = store.champion("m", "production")
    live = None if champion is None else champion.model_id
    verdict = Verdict(event_id("verdict"), "m", "production", f"{name}-{turn}", live, "r", "d", "p", True,
                      (RuleOutcome("rule", True, "fine"),), clock.now())
    with store.transaction() as tx:
        tx.put("verdict", verdict.id, verdict, model="m", environment="production")
    try:
        release = promote(store, verdict_id=verdict.id, actor=name, reason="race", policy_digest_now="p",
                          reference_id="d", clock=clock)
        print("won", release.sequence, release.model_id, flush=True)
    except Refused as error:
        print("refused", error.what, flush=True)
"""


def start(folder: Path, name: str, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROMOTER, str(folder), name, str(turns)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_of_two_verdicts_against_one_champion_one_is_promoted_and_the_other_told_why(desk):
    desk.adopt("model-0")
    for turn in range(10):
        live = desk.champion().model_id
        verdicts = [desk.verdict(f"model-{turn}-{side}", live) for side in ("left", "right")]
        barrier, told = threading.Barrier(2), []

        def race(verdict, barrier=barrier, told=told):
            store = open_store(desk.store.folder, desk.clock)
            barrier.wait()
            try:
                told.append(
                    promote(
                        store, verdict_id=verdict.id, actor="ann", reason="race", policy_digest_now="policy-1",
                        reference_id=None, clock=desk.clock,
                    )
                )  # fmt: skip
            except Refused as error:
                told.append(error)

        threads = [threading.Thread(target=race, args=(v,)) for v in verdicts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (refusal,) = [x for x in told if isinstance(x, Refused)]
        (release,) = [x for x in told if not isinstance(x, Refused)]
        assert desk.champion() == release
        assert refusal.what.endswith(f"was measured against {live}, but {release.model_id} is live")
    assert desk.store.verify() == []
    assert len(list(desk.store.rows("promotion_refused"))) == 10


def test_three_processes_promote_one_after_another_without_a_gap(tmp_path):
    processes = [start(tmp_path / "s", name, 20) for name in ("a", "b", "c")]
    for process in processes:
        go(process)
    lines = [line.split() for p in processes for line in p.communicate(timeout=60)[0].splitlines()]
    assert [p.returncode for p in processes] == [0, 0, 0]
    won = sorted(int(line[1]) for line in lines if line[0] == "won")
    store = open_store(tmp_path / "s", SystemClock())
    assert won == [r.sequence for r in store.releases("m", "production")] == list(range(1, len(won) + 1))
    assert len(lines) == 60
    assert len(list(store.rows("promotion_refused"))) == 60 - len(won)
    assert store.verify() == []


def kill_promotions(folder: Path, kills: int) -> None:
    rng = random.Random(7)
    acknowledged: list[tuple[int, str]] = []
    for kill in range(kills):
        process = start(folder, f"k{kill}", 1_000_000)
        go(process)
        time.sleep(0.05 + rng.random() * 0.1)
        process.kill()
        said, _ = process.communicate(timeout=60)
        whole = [line.split() for line in said.split("\n")[:-1]]
        acknowledged += [(int(line[1]), line[2]) for line in whole if line[0] == "won"]
        store = open_store(folder, SystemClock())
        releases = store.releases("m", "production")
        assert store.verify() == []
        assert [r.sequence for r in releases] == list(range(1, len(releases) + 1))
        assert [r.previous for r in releases] == [None, *(r.id for r in releases[:-1])][: len(releases)]
        assert len(list(store.rows("promoted"))) == len(releases)
        assert set(acknowledged) <= {(r.sequence, r.model_id) for r in releases}
        assert store.champion("m", "production") == (releases[-1] if releases else None)
    assert acknowledged, "no promotion was ever acknowledged: the drill drilled nothing"


def test_a_killed_promotion_leaves_one_champion(tmp_path):
    kill_promotions(tmp_path / "s", 3)


@pytest.mark.slow
def test_fifty_killed_promotions_leave_one_champion(tmp_path):
    kill_promotions(tmp_path / "s", 50)
