"""Chapter 6: rollback and forth, the ledger's verification, and the report."""

from __future__ import annotations

from pathlib import Path

from backstay.demo.performance import TOLD, Performance
from backstay.demo.table import closing_rows


def there_and_back(show: Performance) -> None:
    """Rollback and forth, timed; the ledger is checked; the report is written."""
    show.begin("6. Rollback, verification, report")
    stage, facts = show.stage, show.tale.facts
    with show.progress.step("rollback", total=4) as tick:
        back = show.turned("--reason", "the old form is back for a day")
        tick()
        forth = show.turned("--reason", "and gone again")
        tick()
        verified = stage.cli("verify", "--export-head", "head.json", accept=(0, 3))
        tick()
        facts |= {"rollback_seconds": back, "forth_seconds": forth, "ledger_sound": verified["sound"]}
        facts["ledger_rows"] = verified["rows"]
        facts["requests"] = show.client.sent
        facts["failed_requests"] = show.client.failed
        page = write_report(show)
        tick()
    show.tell(f"Rolled back in {back:.2f} s and forth in {forth:.2f} s, server included.")
    show.tell(f"Ledger {'sound' if verified['sound'] else 'NOT sound'}: {verified['rows']} rows. Report: {page}")


def write_report(show: Performance) -> Path:
    """The project's report, with what only the demo knows: the truth of every week."""
    from backstay.loop.report import write_report
    from backstay.project import Project
    from backstay.render.report_page import Section

    project = Project.open(show.stage.folder, clock=show.stage.clock)
    truth = {w["windows"][-1]["id"]: w["windows"][-1]["truth"] for w in show.watched if w["windows"]}
    page = show.output / "report.html"
    write_report(
        project.ws,
        page,
        title="A model in production: adopted, lost, caught, replaced",
        truth=truth,
        facts=closing_rows({**show.tale.facts, "refusals": show.tale.refusals}),
        sections=[Section(title, tuple(lines)) for title, lines in show.tale.chapters],
        narrative=(TOLD.replace("\n", " "),),
        how_made=f"Made by `backstay demo --seed {show.tale.seed}`.",
    )
    return page
