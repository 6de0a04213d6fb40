"""Audit the project's own rows before anything learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from backstay.data.audit import audit as check_all
from backstay.data.split import split
from backstay.kernel.records import Finding, Severity
from backstay.loop.examples import keep, project_rows
from backstay.loop.unlabelled import unlabelled_rows
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class Audited:
    """What the audit of one version of data found."""

    data_id: str
    rows: int
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.HIGH)


def audit(ws: Workspace) -> Audited:
    """Run every check on the project's rows and their split, and file the findings."""
    with ws.progress.step("audit"):
        table, schema = project_rows(ws)
        version = keep(ws, table, schema, source=str(ws.settings.data.source), role="data")
        parts = split(table, schema, ws.settings.data.split)
        findings = check_all(
            table, schema, parts, data_id=version.id, task=ws.settings.task, named=ws.settings.data.features is not None
        )
        findings += unlabelled_rows(ws, schema, table.take(pa.array(parts["gate"]))).findings
    with ws.ledger.transaction() as tx:
        body = {
            "data": version.id,
            "findings": [{"check": f.check, "severity": f.severity.value, "count": f.count} for f in findings],
        }
        tx.append("audit", body, actor=ws.actor)
    return Audited(version.id, table.num_rows, findings)
