"""One agent at a time: a lease in the store, renewed while it is held and free at once when its holder is dead.

Time here is the machine's, never the injected clock: weeks that pass in seconds must not end a lease. What the holder
does stays right without it (every decision is a transaction of its own): the lease saves two agents from training the
same challenger.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backstay.kernel.errors import BackstayError, Conflict
from backstay.kernel.ids import event_id
from backstay.kernel.ports import Ledger
from backstay.kernel.records import Json

LENGTH = 60.0
RENEWED_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease: `token` is of this one holding, `until` in seconds since 1970."""

    token: str
    host: str
    process: int
    until: float

    def alive(self, now: float) -> bool:
        """Whether it still counts: not run out, and its process not known to be dead (which only its host can say)."""
        return now < self.until and (self.host != socket.gethostname() or _runs(self.process))

    def to_json(self) -> Json:
        return {"token": self.token, "host": self.host, "process": self.process, "until": self.until}

    @staticmethod
    def from_json(state: Json) -> Holder:
        return Holder(str(state["token"]), str(state["host"]), int(state["process"]), float(state["until"]))


@contextmanager
def lease(ledger: Ledger, name: str) -> Iterator[None]:
    """Hold the lease of this name while the block runs.

    Raises:
        Conflict: somebody else holds it.
    """
    key = f"lease/{name}"
    mine = Holder(event_id("lease"), socket.gethostname(), os.getpid(), time.time() + LENGTH)
    with ledger.transaction() as tx:
        there = tx.get_state(key)
        holder = None if not there else Holder.from_json(there)
        if holder is not None and holder.alive(time.time()):
            raise Conflict(
                f"process {holder.process} on {holder.host} acts for {name} already",
                fix="let it work; its lease ends with it, or a minute after its machine is gone",
            )
        tx.set_state(key, mine.to_json())
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(ledger, key, mine, done), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        with ledger.transaction() as tx:
            if _is_mine(tx.get_state(key), mine):
                tx.set_state(key, {})


def _renew(ledger: Ledger, key: str, mine: Holder, done: threading.Event) -> None:
    """Push the end of the lease ahead. One that was lost is not taken back."""
    while not done.wait(RENEWED_EVERY):
        try:
            with ledger.transaction() as tx:
                if not _is_mine(tx.get_state(key), mine):
                    return
                tx.set_state(key, Holder(mine.token, mine.host, mine.process, time.time() + LENGTH).to_json())
        except BackstayError:
            continue  # the store was busy: there are three more tries before the lease runs out


def _is_mine(state: Json | None, mine: Holder) -> bool:
    return bool(state) and state is not None and state.get("token") == mine.token


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
