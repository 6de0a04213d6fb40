from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backstay.kernel.clock import ManualClock
from backstay.kernel.ids import event_id
from backstay.kernel.records import RuleOutcome, Verdict
from backstay.release.adopt import adopt
from backstay.release.promote import promote
from backstay.release.rollback import rollback
from backstay.store.sql import open_store

SCOPE = {"model": "m", "environment": "production"}


class Desk:
    """A store and the three ways to a release, with what a test does not care about filled in."""

    def __init__(self, folder):
        self.clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.store = open_store(folder, self.clock, create=True)

    def verdict(self, candidate, champion, *, passed=True, policy="policy-1", outcomes=None):
        if outcomes is None:
            outcomes = (RuleOutcome("rule", passed, "fine" if passed else "worse on a slice"),)
        made = Verdict(
            event_id("verdict"), "m", "production", candidate, champion, "report-1", "data-1", policy, passed,
            outcomes, self.clock.now(),
        )  # fmt: skip
        with self.store.transaction() as tx:
            tx.put("verdict", made.id, made, **SCOPE)
        return made

    def promote(self, verdict, *, policy="policy-1", reference="reference-1", actor="ann", reason="better"):
        return promote(
            self.store, verdict_id=getattr(verdict, "id", verdict), actor=actor, reason=reason,
            policy_digest_now=policy, reference_id=reference, clock=self.clock,
        )  # fmt: skip

    def adopt(self, model_id="model-a", reference="reference-0"):
        return adopt(
            self.store, **SCOPE, model_id=model_id, reference_id=reference, actor="ann", reason="live since 2024",
            clock=self.clock,
        )  # fmt: skip

    def rollback(self, to=None, reason="it got worse", unfit=lambda _: None):
        return rollback(
            self.store, self.store, **SCOPE, to=to, actor="bob", reason=reason, clock=self.clock, unfit=unfit
        )

    def champion(self):
        return self.store.champion("m", "production")

    def last(self):
        return list(self.store.rows())[-1]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / ".backstay")
