"""Chapters 3 and 4: a challenger goes through the gate, and others do not."""

from __future__ import annotations

from backstay.demo.answers import measured
from backstay.demo.client import Client, Probe
from backstay.demo.performance import NAME, Performance
from backstay.demo.successors import no_better, quick_fix
from backstay.demo.world import joined
from backstay.kernel.errors import BackstayError

SETTLED_WEEKS = 1


def replace(show: Performance) -> None:
    """Waiting costs more than retraining: a challenger is trained, compared pairwise, promoted, swapped in."""
    show.begin("3. A challenger, through the gate")
    facts = show.tale.facts
    with show.progress.step("replace", total=5) as tick:
        first = show.stage.cli("watch", "--act", accept=(0, 3))
        show.tell(first["decision"]["headline"])
        tick()
        show.review("retrain")
        tick()
        show.offer("sliced", quick_fix(show.world))
        tick()
        probe = Probe(Client(show.client.url, show.client.key, NAME), show.world.batch(1))
        probe.start()
        acted = show.stage.cli("watch", "--act", accept=(0, 3))
        tick()
        if acted["promoted"] is None:
            raise BackstayError(
                f"the challenger was not promoted: {acted['acted'] and acted['acted']['verdict']['outcomes']}",
                fix="this is a fault of the demo; please report it",
            )
        version = str(acted["promoted"]["sequence"])
        swapped = show.swapped(probe, version)
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
    show.tell(
        f"The challenger reads {facts['challenger_accuracy']:.3f} of {difference['n']} gate rows, the champion "
        f"{facts['champion_accuracy_then']:.3f}; pairwise {difference['difference']:+.3f} "
        f"({difference['interval']['low']:+.3f} to {difference['interval']['high']:+.3f}). "
        f"Promoted as release {version}."
    )
    show.tell(
        f"The server swapped it in after {swapped:.2f} s; of {len(probe.answers)} requests meanwhile "
        f"{len(probe.failures)} failed."
    )


def refuse(show: Performance) -> None:
    """Two more that must not go live, each for its own reason, and one who tries all the same."""
    show.begin("4. More successors that are refused")
    world, stage = show.world, show.stage
    world.later = True
    with show.progress.step("refuse", total=3) as tick:
        for _ in range(SETTLED_WEEKS):
            show.week("the challenger is live")
        tick()
        show.offer("noise", no_better(show.world, show.reviewed("train")))
        tick()
        show.offer("leaky", joined([show.reviewed("train"), show.reviewed("gate")]))
        tick()
    attempt = stage.cli("promote", show.leaky, "--reason", "it scores so well", accept=(0, 3))
    show.tale.facts["forced_promotion_refused"] = attempt["exit_code"] == 3
    show.tell("An attempt to promote the leaky one anyway was refused, and the attempt is in the ledger.")
