"""What every chapter of the story does: a week of traffic, a look, labels handed in, a successor offered."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from backstay.demo.answers import measured
from backstay.demo.client import Client, Probe
from backstay.demo.foreign import fit_classifier
from backstay.demo.scans import Batch, Scanner
from backstay.demo.stage import Stage
from backstay.demo.world import Week, World, table
from backstay.kernel.errors import BackstayError
from backstay.progress import reporter

NAME = "digits"
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


class Performance:
    """One performance: the stage and what is done on it again and again, and what the chapters hand on."""

    def __init__(self, stage: Stage, world: World, tale: Tale, output: Path, *, loud: bool) -> None:
        self.stage = stage
        self.world = world
        self.tale = tale
        self.output = output
        self.loud = loud
        self.progress = reporter()
        self.client = Client("", "", NAME)
        self.watched: list[dict[str, Any]] = []
        self.accuracy_at: Callable[[Scanner], float] = lambda _: 0.0
        self.fading: list[Scanner] = []
        self.leaky = ""

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

    def review(self, *purposes: str) -> None:
        """The reviewer works through the queue."""
        waiting = self.stage.cli("label")["requests"]
        self.file(self.world.review([r["prediction_id"] for r in waiting if r["purpose"] in purposes]))

    def file(self, answers: pa.Table) -> None:
        """Hand the reviewer's answers in."""
        path = self.stage.folder / "reviewed.csv"
        pyarrow.csv.write_csv(answers, path)
        self.stage.cli("label", "--answers", path.name, "--source", "review")

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

    def turned(self, *arguments: str) -> float:
        """Seconds from typing the command to the first answer of the other model."""
        probe = Probe(Client(self.client.url, self.client.key, NAME), self.world.batch(1))
        probe.start()
        began = time.monotonic()
        release = self.stage.cli("rollback", *arguments)
        self.swapped(probe, str(release["sequence"]))
        at = probe.first_answer_of(str(release["sequence"]))
        return (at or time.monotonic()) - began
