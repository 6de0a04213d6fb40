"""The story in six chapters. Backstay is used as anybody would use it: by its command line and over HTTP."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from backstay.demo.answers import as_told, label_free, measured, spread
from backstay.demo.client import Client, Probe
from backstay.demo.foreign import fit_classifier
from backstay.demo.project_file import PROJECT_FILE
from backstay.demo.scans import NEW, Batch, draw
from backstay.demo.stage import MemoryWatch, Stage
from backstay.demo.successors import no_better, quick_fix
from backstay.demo.table import closing_rows, closing_table
from backstay.demo.world import Week, World, brighter, fading, joined, table, true_accuracy
from backstay.kernel.errors import BackstayError
from backstay.progress import reporter

NAME = "digits"
STEADY_WEEKS = 3
FADING_WEEKS = 9
SETTLED_WEEKS = 1
MEANING_WEEKS = 9
TOLD = """Traffic: seeded distortions of real scans held out from training. Scans are disjoint between the foreign
model's training, labelling, gate and later traffic. Budgets are fixed beforehand: 1 false alarm a year, 50 labels
a month."""


@dataclass
class Tale:
    """What has happened so far: the facts of the table at the end."""

    seed: int
    facts: dict[str, Any] = field(default_factory=dict)
    chapters: list[tuple[str, list[str]]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)


def tell(output: Path, *, seed: int = 0, as_json: bool = False) -> int:
    """Play all six chapters in a fresh folder; answers the exit code (0 when everything happened as it should)."""
    output = output.resolve()
    if output.exists() and any(output.iterdir()) and not (output / ".backstay-demo").exists():
        raise BackstayError(f"{output} is not empty and not an earlier demo", fix="name another folder with --output")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / ".backstay-demo").touch()
    began = time.monotonic()
    memory = MemoryWatch()
    memory.start()
    tale = Tale(seed)
    with Stage(output / "project") as stage:
        try:
            Telling(stage, World(seed), tale, output, loud=not as_json).play()
        finally:
            lines = [f"{took:6.2f} s  {line}\n" for line, took in stage.commands]
            (output / "commands.txt").write_text("".join(lines))
    tale.facts["seconds"] = time.monotonic() - began
    tale.facts["peak_megabytes"] = memory.finish() / 2**20
    result = {"seed": seed, **tale.facts, "refusals": tale.refusals}
    (output / "result.json").write_text(json.dumps(result, indent=2, default=float) + "\n")
    if as_json:
        sys.stdout.write(json.dumps(result, default=float) + "\n")
    else:
        closing_table(result)
    return 0 if tale.facts["as_it_should"] else 1


class Telling:
    """One performance."""

    def __init__(self, stage: Stage, world: World, tale: Tale, output: Path, *, loud: bool) -> None:
        self.stage = stage
        self.world = world
        self.tale = tale
        self.output = output
        self.loud = loud
        self.progress = reporter()
        self.client = Client("", "", NAME)
        self.watched: list[dict[str, Any]] = []

    def play(self) -> None:
        self.say(TOLD)
        for chapter in (self.adopt, self.fade, self.replace, self.refuse, self.meaning, self.there_and_back):
            chapter()
        self.tale.facts["as_it_should"] = as_told(self.tale.facts, self.tale.refusals)

    def say(self, text: str) -> None:
        if self.loud:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def begin(self, title: str) -> None:
        """A new chapter."""
        self.tale.chapters.append((title, []))
        self.say(f"\n{title}")

    def tell(self, text: str) -> None:
        """One sentence of the story, for the terminal and for the report."""
        self.tale.chapters[-1][1].append(text)
        self.say(f"  {text}")

    # 1
    def adopt(self) -> None:
        """Somebody's classifier becomes ours to watch."""
        self.begin("1. A live model is adopted and measured")
        stage, world = self.stage, self.world
        with self.progress.step("adopt", total=5) as tick:
            foreign = draw(world.pools, world.pools.foreign, 4000, NEW, world.rng)
            model = fit_classifier(foreign, seed=world.seed)
            (stage.folder / "foreign.onnx").write_bytes(model)
            tick()
            reference = world.batch(1500)
            ids = [f"reference-{i:04d}" for i in range(len(reference))]
            pq.write_table(table(reference, ids, reference.truth), stage.folder / "last_quarter.parquet")
            (stage.folder / "backstay.toml").write_text(PROJECT_FILE)
            tick()
            adopted = stage.cli("adopt", "foreign.onnx", "--reference", "last_quarter.parquet", "--target", "digit")
            tick()
            key = stage.cli("key", "create", "forms-desk", "--scope", "predict", "--scope", "read")
            self.client = Client(stage.serve(), key["token"], NAME)
            tick()
            self.accuracy_at = true_accuracy(world, model)
            self.fading = fading(self.accuracy_at, FADING_WEEKS)
            tick()
        accuracy = measured(adopted["report"], "accuracy")
        neighbours = measured(adopted["report"], "accuracy", of="control:raw_knn")
        self.tale.facts["adopted_accuracy"] = accuracy["value"]
        self.tell(
            f"Adopted as release 1, unmeasured; on {accuracy['n']} reference rows its accuracy is {spread(accuracy)}, "
            f"raw-pixel neighbours reach {neighbours['value']:.3f}."
        )

    # 2
    def fade(self) -> None:
        """The scanner ages. Nobody has labels, until Backstay asks for some."""
        self.begin("2. The scanner ages, in silence")
        facts = self.tale.facts
        with self.progress.step("weeks", total=STEADY_WEEKS + FADING_WEEKS) as tick:
            for _ in range(STEADY_WEEKS):
                self.week("the scanner is new")
                tick()
            facts["false_alarms_before"] = sum(len(w["windows"][-1]["new_alarms"]) for w in self.watched)
            self.harmless()
            for step, scanner in enumerate(self.fading, start=1):
                self.world.scanner = scanner
                week, seen = self.week(f"week {step} of fading")
                tick()
                if seen["new_alarms"] and "fade_alarm_week" not in facts:
                    self.alarmed(step, week, seen)
                refused = label_free(seen)["value"] is None
                if "refused_week" in facts:
                    self.answered(week, seen)
                    if self.watched[-1]["decision"]["retrain"]:
                        break
                if "fade_alarm_week" in facts and (refused or "refused_week" in facts):
                    self.ask(step, seen)

    def harmless(self) -> None:
        """A new lamp: everything is a little brighter, nothing is read worse."""
        batch = self.world.batch(ROWS := 400, scanner=brighter(self.world.scanner, 14.0))
        pq.write_table(table(batch, [f"lamp-{i}" for i in range(ROWS)]), self.stage.folder / "new_lamp.parquet")
        seen = self.stage.cli("watch", "--rows", "new_lamp.parquet", accept=(0, 3))["windows"][0]
        self.tale.facts["harmless_condition"] = seen["condition"]
        self.tell(f"A new lamp makes every scan brighter: Backstay says `{seen['condition']}`, not worse.")

    def week(self, note: str) -> tuple[Week, dict[str, Any]]:
        """A week of traffic, and a look at it."""
        week = self.world.week(self.stage, self.client, note)
        seen = self.stage.cli("watch", accept=(0, 3))
        if not seen["windows"]:
            raise BackstayError(
                f"week {week.number} was not judged", fix="this is a fault of the demo; please report it"
            )
        self.watched.append(seen)
        window = seen["windows"][-1]
        window["truth"] = week.accuracy
        return week, {**window, "new_alarms": window["new_alarms"], "requested": seen["requested"]}

    def page(self, name: str) -> None:
        """The monitoring page as it is now, kept beside the report."""
        self.stage.cli("watch", "--page", str(self.output / name), accept=(0, 3))

    def alarmed(self, step: int, week: Week, seen: dict[str, Any]) -> None:
        self.page("watch-fade.html")
        lost = self.accuracy_at(NEW) - self.accuracy_at(self.world.scanner)
        self.tale.facts["fade_alarm_week"] = step
        self.tale.facts["fade_lost_at_alarm"] = lost
        moved = next((s["moved"][0] for s in seen["signals"] if s["alarm"] and s["moved"]), "inputs")
        self.tell(
            f"Alarm in week {step} of fading ({', '.join(seen['new_alarms'])}): {moved}. "
            f"True accuracy had lost {100 * lost:.1f} points; nobody but the demo knew."
        )
        estimate = label_free(seen)
        if estimate["value"] is not None:
            self.tell(
                f"Estimated without labels: {spread(estimate)}; {estimate['assumption']} (truth {week.accuracy:.3f})."
            )

    def ask(self, step: int, seen: dict[str, Any]) -> None:
        """The estimate is refused: label as many rows as Backstay asks for, and the standing sample with them."""
        estimate = label_free(seen)
        wanted = min(max(int(estimate["labels_needed"]), 30), 200)
        if "refused_week" not in self.tale.facts:
            self.tale.facts["refused_week"] = step
            self.tale.facts["labels_asked"] = wanted
            self.tell(
                f"Week {step}: no estimate any more ({estimate['refusals'][0]}). Backstay asks for {wanted} labels."
            )
        self.stage.cli("label", "--request", str(wanted), "--purpose", "estimate")
        self.review("estimate", "standing")

    def answered(self, week: Week, seen: dict[str, Any]) -> None:
        found = next((e for e in seen["estimates"] if e["kind"] in ("ppi", "labels") and e["value"] is not None), None)
        if found is None:
            return
        self.tale.facts["ppi"] = {"value": found["value"], **found["interval"], "truth": week.accuracy}
        self.tell(
            f"With {found['labels']} labels: accuracy {spread(found)} (truth {week.accuracy:.3f}): {seen['condition']}."
        )

    def review(self, *purposes: str) -> None:
        """The reviewer works through the queue."""
        waiting = self.stage.cli("label")["requests"]
        self.file(self.world.review([r["prediction_id"] for r in waiting if r["purpose"] in purposes]))

    def file(self, answers: pa.Table) -> None:
        """Hand the reviewer's answers in."""
        path = self.stage.folder / "reviewed.csv"
        pyarrow.csv.write_csv(answers, path)
        self.stage.cli("label", "--answers", path.name, "--source", "review")

    # 3
    def replace(self) -> None:
        """Waiting costs more than retraining: a challenger is trained, compared pairwise, promoted, swapped in."""
        self.begin("3. A challenger, through the gate")
        facts = self.tale.facts
        with self.progress.step("replace", total=5) as tick:
            first = self.stage.cli("watch", "--act", accept=(0, 3))
            self.tell(first["decision"]["headline"])
            tick()
            self.review("retrain")
            tick()
            self.offer("sliced", quick_fix(self.world))
            tick()
            probe = Probe(Client(self.client.url, self.client.key, NAME), self.world.batch(1))
            probe.start()
            acted = self.stage.cli("watch", "--act", accept=(0, 3))
            tick()
            if acted["promoted"] is None:
                raise BackstayError(
                    f"the challenger was not promoted: {acted['acted'] and acted['acted']['verdict']['outcomes']}",
                    fix="this is a fault of the demo; please report it",
                )
            version = str(acted["promoted"]["sequence"])
            swapped = self.swapped(probe, version)
            tick()
        report = acted["acted"]["report"]
        facts["challenger_accuracy"] = measured(report, "accuracy")["value"]
        facts["champion_accuracy_then"] = measured(report, "accuracy", of="champion")["value"]
        facts["swap_failures"] = len(probe.failures)
        facts["swap_answers"] = len(probe.answers)
        facts["swap_seconds"] = swapped
        difference = next(
            c
            for c in report["comparisons"]
            if c["metric"] == "accuracy" and c["against"] == report["champion"] and not c["slice"]
        )
        self.tell(
            f"The challenger reads {facts['challenger_accuracy']:.3f} of {difference['n']} gate rows, the champion "
            f"{facts['champion_accuracy_then']:.3f}; pairwise {difference['difference']:+.3f} "
            f"({difference['interval']['low']:+.3f} to {difference['interval']['high']:+.3f}). "
            f"Promoted as release {version}."
        )
        self.tell(
            f"The server swapped it in after {swapped:.2f} s; of {len(probe.answers)} requests meanwhile "
            f"{len(probe.failures)} failed."
        )
        self.champion = acted["promoted"]["model_id"]

    def swapped(self, probe: Probe, version: str) -> float:
        """Seconds from the end of the command that changed the pointer to the first answer of that version."""
        done = time.monotonic()
        while probe.first_answer_of(version) is None and time.monotonic() - done < 10:
            time.sleep(0.01)
        probe.finish()
        at = probe.first_answer_of(version)
        if at is None:
            raise BackstayError(f"the server never answered with version {version}", fix="see server.log")
        return max(at - done, 0.0)

    # 4
    def refuse(self) -> None:
        """Two more that must not go live, each for its own reason, and one who tries all the same."""
        self.begin("4. More successors that are refused")
        world, stage = self.world, self.stage
        world.later = True
        with self.progress.step("refuse", total=3) as tick:
            for _ in range(SETTLED_WEEKS):
                self.week("the challenger is live")
            tick()
            self.offer("noise", no_better(self.world, self.reviewed("train")))
            tick()
            self.offer("leaky", joined([self.reviewed("train"), self.reviewed("gate")]))
            tick()
        attempt = stage.cli("promote", self.leaky, "--reason", "it scores so well", accept=(0, 3))
        self.tale.facts["forced_promotion_refused"] = attempt["exit_code"] == 3
        self.tell("An attempt to promote the leaky one anyway was refused, and the attempt is in the ledger.")

    def offer(self, name: str, batch: Batch) -> None:
        """Somebody trains a successor on these rows and offers it, rows and all."""
        stage = self.stage
        model = fit_classifier(batch, hidden=128, seed=self.world.seed)
        (stage.folder / f"{name}.onnx").write_bytes(model)
        ids = [f"{name}-{i:04d}" for i in range(len(batch))]
        pq.write_table(table(batch, ids, batch.truth), stage.folder / f"{name}_rows.parquet")
        arguments = ("adopt", f"{name}.onnx", "--challenger", "--trained-on", f"{name}_rows.parquet")
        self.judged(name, stage.cli(*arguments, accept=(0, 3)))

    def reviewed(self, use: str) -> Batch:
        """Reviewed rows that were dealt to this use, as whoever has the log could collect them."""
        from backstay.project import Project

        ws = Project.open(self.stage.folder, clock=self.stage.clock).ws
        return self.world.rows_of({label.prediction_id for label in ws.catalog.labels(**ws.scope, use=use)})

    def judged(self, name: str, offered: dict[str, Any]) -> None:
        verdict = offered["verdict"]
        reasons = [o["message"] for o in verdict["outcomes"] if not o["passed"]]
        rules = [o["rule"] for o in verdict["outcomes"] if not o["passed"]]
        self.tale.refusals[name] = "; ".join(rules) if rules else "not refused"
        self.tale.facts[f"{name}_accuracy"] = measured(offered["report"], "accuracy")["value"]
        if name == "leaky":
            self.leaky = offered["model"]["id"]
        self.tell(
            f"{name}: {measured(offered['report'], 'accuracy')['value']:.3f} on the gate rows; "
            + (f"refused: {reasons[0]}" if reasons else "NOT refused")
        )

    # 5
    def meaning(self) -> None:
        """The form changes: what was filed as 1 is now 7, and the reverse. The scans look as they always did."""
        self.begin("5. Labels change their meaning, inputs do not")
        facts = self.tale.facts
        self.world.swapped = True
        silent = True
        with self.progress.step("weeks", total=MEANING_WEEKS) as tick:
            for step in range(1, MEANING_WEEKS + 1):
                week, seen = self.week(f"new form, week {step}")
                tick()
                estimate = label_free(seen)
                if estimate["value"] is not None:
                    facts["meaning_label_free"], facts["meaning_truth"] = estimate["value"], week.accuracy
                silent = silent and not any(s["alarm"] for s in seen["signals"] if s["detector"] != "labelled_error")
                if seen["condition"] == "worse":
                    facts["meaning_weeks"] = step
                    self.page("watch-meaning.html")
                    facts["meaning_by"] = ", ".join(seen["new_alarms"]) or "interval"
                    self.tell(f"Week {step}: {seen['headline']} True accuracy is {week.accuracy:.3f}.")
                    break
                self.file(self.world.review(seen["requested"]))
                self.asked_for(step, seen)
        facts["meaning_drift_silent"] = silent

    def asked_for(self, step: int, seen: dict[str, Any]) -> None:
        """A few labels are wrong too often for chance and too few for an alarm: label as many as Backstay asks for."""
        wanted = int(seen["labels_requested"])
        if wanted == 0:
            return
        if "meaning_asked" not in self.tale.facts:
            self.tale.facts["meaning_asked"] = wanted
            self.tell(f"Week {step}: {seen['headline']} Nothing else has moved; the rows are labelled.")
        self.stage.cli("label", "--request", str(wanted), "--purpose", "estimate")
        self.review("estimate")

    # 6
    def there_and_back(self) -> None:
        """Rollback and forth, timed; the ledger is checked; the report is written."""
        self.begin("6. Rollback, verification, report")
        stage, facts = self.stage, self.tale.facts
        with self.progress.step("rollback", total=4) as tick:
            back = self.turned("--reason", "the old form is back for a day")
            tick()
            forth = self.turned("--reason", "and gone again")
            tick()
            verified = stage.cli("verify", "--export-head", "head.json", accept=(0, 3))
            tick()
            facts |= {"rollback_seconds": back, "forth_seconds": forth, "ledger_sound": verified["sound"]}
            facts["ledger_rows"] = verified["rows"]
            facts["requests"] = self.client.sent
            facts["failed_requests"] = self.client.failed
            page = self.write_report()
            tick()
        self.tell(f"Rolled back in {back:.2f} s and forth in {forth:.2f} s, server included.")
        self.tell(f"Ledger {'sound' if verified['sound'] else 'NOT sound'}: {verified['rows']} rows. Report: {page}")

    def turned(self, *arguments: str) -> float:
        """Seconds from typing the command to the first answer of the other model."""
        probe = Probe(Client(self.client.url, self.client.key, NAME), self.world.batch(1))
        probe.start()
        began = time.monotonic()
        release = self.stage.cli("rollback", *arguments)
        self.swapped(probe, str(release["sequence"]))
        at = probe.first_answer_of(str(release["sequence"]))
        return (at or time.monotonic()) - began

    def write_report(self) -> Path:
        """The project's report, with what only the demo knows: the truth of every week."""
        from backstay.loop.report import write_report
        from backstay.project import Project
        from backstay.render.report_page import Section

        project = Project.open(self.stage.folder, clock=self.stage.clock)
        truth = {w["windows"][-1]["id"]: w["windows"][-1]["truth"] for w in self.watched if w["windows"]}
        page = self.output / "report.html"
        write_report(
            project.ws,
            page,
            title="A model in production: adopted, lost, caught, replaced",
            truth=truth,
            facts=closing_rows({**self.tale.facts, "refusals": self.tale.refusals}),
            sections=[Section(title, tuple(lines)) for title, lines in self.tale.chapters],
            narrative=(TOLD.replace("\n", " "),),
            how_made=f"Made by `backstay demo --seed {self.tale.seed}`.",
        )
        return page
