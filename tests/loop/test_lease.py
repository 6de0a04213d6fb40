"""One agent at a time, also when the one before was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import BackstayError, Conflict
from backstay.loop import lease as leasing
from backstay.loop.lease import lease
from backstay.store.sql import Store, open_store

KEY = "lease/orders/production"
HOLDING = """
import sys, time
from pathlib import Path
from backstay.kernel.clock import SystemClock
from backstay.loop.lease import lease
from backstay.store.sql import open_store
with lease(open_store(Path(sys.argv[1]), SystemClock()), "orders/production"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "state", SystemClock(), create=True)


def held_by(store: Store, **changes: object) -> None:
    there = store.get_state(KEY)
    with store.transaction() as tx:
        tx.set_state(KEY, {**(there or {}), **changes})


def test_a_second_holder_is_told_who_has_it(store):
    with lease(store, "orders/production"), pytest.raises(Conflict, match=r"process \d+ on .* acts for orders"):
        lease(store, "orders/production").__enter__()


def test_it_is_free_again_after_the_block_and_after_an_error(store):
    with pytest.raises(ValueError, match="inside"), lease(store, "orders/production"):
        raise ValueError("inside")
    with lease(store, "orders/production"):
        assert store.get_state(KEY)["until"] > time.time()
    assert store.get_state(KEY) == {}


def test_other_models_do_not_wait(store):
    with lease(store, "orders/production"), lease(store, "orders/staging"):
        assert store.get_state(KEY) != store.get_state("lease/orders/staging")


def test_a_killed_holder_leaves_it_free_at_once(store, tmp_path):
    holding = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
    )
    assert holding.stdout is not None
    assert holding.stdout.readline() == "held\n"
    with pytest.raises(Conflict):
        lease(store, "orders/production").__enter__()
    holding.kill()
    holding.wait()
    holding.stdout.close()
    with lease(store, "orders/production"):
        pass


def test_a_holder_on_another_machine_keeps_it_until_it_runs_out(store):
    with lease(store, "orders/production"):
        held_by(store, host="elsewhere", token="theirs")
        with pytest.raises(Conflict, match="elsewhere"):
            lease(store, "orders/production").__enter__()
        held_by(store, until=time.time() - 1)
        with lease(store, "orders/production"):
            pass


def test_it_is_renewed_while_it_is_held(store, monkeypatch):
    monkeypatch.setattr(leasing, "RENEWED_EVERY", 0.01)
    with lease(store, "orders/production"):
        first = store.get_state(KEY)["until"]
        for _ in range(500):
            if store.get_state(KEY)["until"] > first:
                break
            time.sleep(0.01)
        assert store.get_state(KEY)["until"] > first


def test_one_that_was_lost_is_not_taken_back(store, monkeypatch):
    monkeypatch.setattr(leasing, "RENEWED_EVERY", 0.01)
    with lease(store, "orders/production"):
        held_by(store, token="theirs", host="elsewhere", until=time.time() + 60)
        time.sleep(0.1)
    assert store.get_state(KEY)["token"] == "theirs"


def test_a_busy_store_does_not_end_the_renewing(store, monkeypatch):
    monkeypatch.setattr(leasing, "RENEWED_EVERY", 0.01)
    with lease(store, "orders/production"):
        first, transaction, failures = store.get_state(KEY)["until"], store.transaction, []

        def sometimes():
            if len(failures) < 2:
                failures.append(1)
                raise BackstayError("the store is busy", fix="wait")
            return transaction()

        monkeypatch.setattr(store, "transaction", sometimes)
        for _ in range(500):
            if len(failures) == 2 and store.get_state(KEY)["until"] > first:
                break
            time.sleep(0.01)
        assert store.get_state(KEY)["until"] > first
