"""Chapters 1 and 2: a live model is adopted, and its scanner ages in silence."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from backstay.demo.answers import label_free, measured, spread
from backstay.demo.client import Client
from backstay.demo.foreign import fit_classifier
from backstay.demo.performance import NAME, Performance
from backstay.demo.project_file import PROJECT_FILE
from backstay.demo.scans import NEW, draw
from backstay.demo.world import Week, brighter, fading, table, true_accuracy

STEADY_WEEKS = 3
FADING_WEEKS = 13
"""At most: it ends when retraining pays."""


def adopt(show: Performance) -> None:
    """Somebody's classifier becomes ours to watch."""
    show.begin("1. A live model is adopted and measured")
    stage, world = show.stage, show.world
    with show.progress.step("adopt", total=5) as tick:
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
        show.client = Client(stage.serve(), key["token"], NAME)
        tick()
        show.accuracy_at = true_accuracy(world, model)
        show.fading = fading(show.accuracy_at, FADING_WEEKS)
        tick()
    accuracy = measured(adopted["report"], "accuracy")
    neighbours = measured(adopted["report"], "accuracy", of="control:raw_knn")
    show.tale.facts["adopted_accuracy"] = accuracy["value"]
    show.tell(
        f"Adopted as release 1, unmeasured; on {accuracy['n']} reference rows its accuracy is {spread(accuracy)}, "
        f"raw-pixel neighbours reach {neighbours['value']:.3f}."
    )


def fade(show: Performance) -> None:
    """The scanner ages. Nobody has labels, until Backstay asks for some."""
    show.begin("2. The scanner ages, in silence")
    facts = show.tale.facts
    with show.progress.step("weeks", total=STEADY_WEEKS + FADING_WEEKS) as tick:
        for _ in range(STEADY_WEEKS):
            show.week("the scanner is new")
            tick()
        facts["false_alarms_before"] = sum(len(w["windows"][-1]["new_alarms"]) for w in show.watched)
        harmless(show)
        for step, scanner in enumerate(show.fading, start=1):
            show.world.scanner = scanner
            week, seen = show.week(f"week {step} of fading")
            tick()
            if seen["new_alarms"] and "fade_alarm_week" not in facts:
                alarmed(show, step, week, seen)
            refused = label_free(seen)["value"] is None
            if "refused_week" in facts:
                answered(show, week, seen)
                if show.watched[-1]["decision"]["retrain"]:
                    break
            if "fade_alarm_week" in facts and (refused or "refused_week" in facts):
                ask(show, step, seen)


def harmless(show: Performance) -> None:
    """A new lamp: everything is a little brighter, nothing is read worse."""
    batch = show.world.batch(ROWS := 400, scanner=brighter(show.world.scanner, 14.0))
    pq.write_table(table(batch, [f"lamp-{i}" for i in range(ROWS)]), show.stage.folder / "new_lamp.parquet")
    seen = show.stage.cli("watch", "--rows", "new_lamp.parquet", accept=(0, 3))["windows"][0]
    show.tale.facts["harmless_condition"] = seen["condition"]
    show.tell(f"A new lamp makes every scan brighter: Backstay says `{seen['condition']}`, not worse.")


def alarmed(show: Performance, step: int, week: Week, seen: dict[str, Any]) -> None:
    show.page("watch-fade.html")
    lost = show.accuracy_at(NEW) - show.accuracy_at(show.world.scanner)
    show.tale.facts["fade_alarm_week"] = step
    show.tale.facts["fade_lost_at_alarm"] = lost
    moved = next((s["moved"][0] for s in seen["signals"] if s["alarm"] and s["moved"]), "inputs")
    show.tell(
        f"Alarm in week {step} of fading ({', '.join(seen['new_alarms'])}): {moved}. "
        f"True accuracy had lost {100 * lost:.1f} points; nobody but the demo knew."
    )
    estimate = label_free(seen)
    if estimate["value"] is not None:
        show.tell(
            f"Estimated without labels: {spread(estimate)}; {estimate['assumption']} (truth {week.accuracy:.3f})."
        )


def ask(show: Performance, step: int, seen: dict[str, Any]) -> None:
    """The estimate is refused: label as many rows as Backstay asks for, and the standing sample with them."""
    estimate = label_free(seen)
    wanted = min(max(int(estimate["labels_needed"]), 30), 200)
    if "refused_week" not in show.tale.facts:
        show.tale.facts["refused_week"] = step
        show.tale.facts["labels_asked"] = wanted
        show.tell(f"Week {step}: no estimate any more ({estimate['refusals'][0]}). Backstay asks for {wanted} labels.")
    show.stage.cli("label", "--request", str(wanted), "--purpose", "estimate")
    show.review("estimate", "standing")


def answered(show: Performance, week: Week, seen: dict[str, Any]) -> None:
    found = next((e for e in seen["estimates"] if e["kind"] in ("ppi", "labels") and e["value"] is not None), None)
    if found is None:
        return
    show.tale.facts["ppi"] = {"value": found["value"], **found["interval"], "truth": week.accuracy}
    show.tell(
        f"With {found['labels']} labels: accuracy {spread(found)} (truth {week.accuracy:.3f}): {seen['condition']}."
    )
