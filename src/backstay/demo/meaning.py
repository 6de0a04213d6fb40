"""Chapter 5: labels change their meaning, and nothing but labels can tell."""

from __future__ import annotations

from typing import Any

from backstay.demo.answers import label_free
from backstay.demo.performance import Performance

MEANING_WEEKS = 9
OF_LABELS = ("labelled_error", "confident_errors")


def meaning(show: Performance) -> None:
    """The form changes: what was filed as 1 is now 7, and the reverse. The scans look as they always did."""
    show.begin("5. Labels change their meaning, inputs do not")
    facts = show.tale.facts
    show.world.swapped = True
    silent = True
    with show.progress.step("weeks", total=MEANING_WEEKS) as tick:
        for step in range(1, MEANING_WEEKS + 1):
            week, seen = show.week(f"new form, week {step}")
            tick()
            estimate = label_free(seen)
            if estimate["value"] is not None:
                facts["meaning_label_free"], facts["meaning_truth"] = estimate["value"], week.accuracy
            silent = silent and not any(s["alarm"] for s in seen["signals"] if s["detector"] not in OF_LABELS)
            if seen["condition"] == "worse":
                facts["meaning_weeks"] = step
                show.page("watch-meaning.html")
                facts["meaning_by"] = ", ".join(seen["new_alarms"]) or "interval"
                show.tell(f"Week {step}: {seen['headline']} True accuracy is {week.accuracy:.3f}.")
                break
            show.file(show.world.review(seen["requested"]))
            asked_for(show, step, seen)
    facts["meaning_drift_silent"] = silent


def asked_for(show: Performance, step: int, seen: dict[str, Any]) -> None:
    """A few labels are wrong too often for chance and too few for an alarm: label as many as Backstay asks for."""
    wanted = int(seen["labels_requested"])
    if wanted == 0:
        return
    if "meaning_asked" not in show.tale.facts:
        show.tale.facts["meaning_asked"] = wanted
        show.tell(f"Week {step}: {seen['headline']} Nothing else has moved; the rows are labelled.")
    show.stage.cli("label", "--request", str(wanted), "--purpose", "estimate")
    show.review("estimate")
