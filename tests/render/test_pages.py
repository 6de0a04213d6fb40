from __future__ import annotations

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from backstay.kernel.records import Condition, Estimate, Interval, LedgerRow
from backstay.render.examples import Example
from backstay.render.report_page import Section, model_report_page, report_page
from backstay.render.timeline import Timeline, build_timeline
from backstay.render.watch_page import watch_page

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}$x_1$"
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """What a browser would see: text, tags, ids, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="session")
def watch_html(results, examples, reference_examples, decision, timeline) -> str:
    return watch_page(
        results[12],
        results[:12],
        model="digits",
        environment="production",
        examples=examples,
        reference_examples=reference_examples,
        decision=decision,
        timeline=timeline,
    )


@pytest.fixture(scope="session")
def report_html(timeline, releases, verdict, report, ledger_rows, examples, reference_examples) -> str:
    return report_page(
        "A scanner fades, and a model is caught losing accuracy in silence",
        timeline,
        [Section("Sums", ("Each step was timed.",), ("Step", "Seconds"), (("rollback", 0.41), ("swap", None)))],
        releases=releases,
        verdicts=[verdict, replace(verdict, id="verdict-2", passed=True, outcomes=verdict.outcomes[:1])],
        refusals=[row for row in ledger_rows if row.kind == "promotion_refused"],
        reports=[report],
        ledger_head="5f" * 32,
        ledger_length=118,
        facts=[("How long until the alarm?", "3 weeks after the scanner began to fade")],
        moved=[
            ("January: as it was adopted", [e.image for e in reference_examples]),
            ("April: the scanner has faded", [e.image for e in examples.values()]),
        ],
        narrative=["A model was adopted and served.", "In February the scanner began to fade. Nobody had labels."],
        how_made="The traffic is seeded distortions of real scans.",
        names={releases[0].model_id: "the vendor's model", releases[1].model_id: "the challenger"},
    )


@pytest.fixture(scope="session")
def model_html(report, verdict, model) -> str:
    return model_report_page(report, verdict, model)


@pytest.fixture(scope="session")
def pages(watch_html, report_html, model_html) -> dict[str, str]:
    made = {"watch": watch_html, "report": report_html, "model": model_html}
    folder = os.environ.get("BACKSTAY_PAGES")
    if folder:
        for name, html in made.items():
            Path(folder, f"{name}.html").write_text(html, "utf-8")
    return made


def assert_self_contained(html: str) -> None:
    rest = re.sub(r'xmlns(:\w+)?="http://www\.w3\.org/[^"]+"', "", html)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", rest)
    page = Page(html)
    assert not page.open
    assert "script" not in {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))


def test_pages_load_nothing_and_are_well_formed(pages):
    for html in pages.values():
        assert_self_contained(html)


def test_pages_can_be_read_by_everyone(pages):
    for html in pages.values():
        tags = Page(html).tags
        assert html.startswith("<!doctype html>\n<html lang=")
        assert sum(tag == "h1" for tag, _ in tags) == 1
        assert all(a.get("scope") in {"row", "col"} for tag, a in tags if tag == "th")
        assert all(a.get("alt") for tag, a in tags if tag == "img")
        ids = [a["id"] for _, a in tags if "id" in a]
        assert len(ids) == len(set(ids))
        levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in pairwise(levels))
        assert "prefers-color-scheme:dark" in html
        assert "@media print" in html


def test_pages_never_show_nan(pages):
    for html in pages.values():
        assert not re.search(r"\b(nan|None|inf)\b", Page(html).text)


def test_same_values_give_the_same_bytes(report_html, results, examples, report, verdict, model, model_html):
    again = [watch_page(results[12], results[:12], model="m", environment="e", examples=examples) for _ in range(2)]
    assert again[0] == again[1]
    assert model_report_page(report, verdict, model) == model_html


def test_the_watch_page_says_what_matters(watch_html, results):
    text = Page(watch_html).text
    for part in (
        results[12].headline,
        "moved",
        "refused",
        "too far from the reference",
        "50 labels",
        "2 days old",
        "Retrain: waiting",
        "the images have less contrast",
        "not judged",
        "0.130 of 1 expected false alarms",
    ):
        assert part in text


def test_the_report_says_what_matters(report_html):
    text = Page(report_html).text
    for part in (
        "the challenger",
        "worse where scanner=B by 6.2 points",
        "its verdict did not pass",
        "94.4% to 96.8%",
        "The chain is whole",
        "118 rows",
        "unmeasured",
        "true accuracy (known to the demo only)",
        "3 weeks after",
    ):
        assert part in text


def test_a_broken_ledger_is_not_called_whole():
    text = Page(report_page("t", ledger_head="ab", ledger_problems=["row 3 was edited"])).text
    assert "row 3 was edited" in text
    assert "whole" not in text


def test_an_error_in_a_unit_is_no_share_and_a_draw_stands_at_its_own_window(results):
    drawn = results[8]
    figures = {"from": drawn.start.isoformat(), "to": drawn.end.isoformat(), "right": 41}
    estimates = (
        Estimate("labels", "mae", 8.25, Interval(7.5, 9.0), 900, "drawn at random", labels=80),
        Estimate("stratified", "accuracy", 0.943, Interval(0.885, 0.968), 900, "", labels=50, figures=figures),
        Estimate("stratified", "accuracy", None, None, 900, "", ("10 of 50 wait",), figures=figures),
    )
    result = replace(results[12], estimates=estimates)
    text = Page(watch_page(result, results[:12], model="m", environment="e")).text
    assert "8.250between 7.500 and 9 (" in text
    assert "94.3%between 88.5% and 96.8%" in text
    points = [p for p in build_timeline([result], [], []).estimates if p.kind in ("stratified", "refused")]
    assert [(p.at, p.value) for p in points] == [(drawn.start + (drawn.end - drawn.start) / 2, 0.943)]


def test_the_confusion_stands_once_a_kind_and_limits_at_every_look_beside_their_figure(results):
    table = {"value": [[0.5, 0.1], [0.05, 0.35]], "low": [[0.4, 0.06], [0.02, 0.3]], "high": [[0.6, 0.14], [0.08, 0.4]]}
    figures = {"classes": ["calm", HOSTILE], "confusion": table}
    labelled = {"anytime_low": 0.71, "anytime_high": 0.93, **figures}
    cut = {"anytime_low": 3.0, "anytime_high": 9.5, "cut_share": 0.02, "cut_at": 40.0}
    estimates = (
        Estimate("ppi", "f1", 0.82, Interval(0.75, 0.88), 900, "drawn", labels=80, figures=labelled),
        Estimate("label-free", "f1", 0.83, Interval(0.79, 0.87), 900, "unchanged", figures=figures),
        Estimate("label-free", "auc", 0.91, Interval(0.9, 0.93), 900, "unchanged", figures=figures),
        Estimate("ppi", "mae", 8.25, Interval(7.5, 9.0), 900, "drawn", labels=80, figures=cut),
    )
    page = watch_page(replace(results[12], estimates=estimates), results[:12], model="m", environment="e")
    text = Page(page).text
    assert text.count("Share of all rows by true class (down)") == 2
    assert "50.0%40.0% to 60.0%" in text
    assert "However often you look: 71.0% to 93.0%." in text
    assert "However often you look: 3 to 9.500, with the 2.0% of errors beyond 40 taken as that." in text
    assert HOSTILE not in page


def test_hostile_text_stays_text(results, releases, report, verdict, model, decision):
    signal = replace(
        results[12].signals[0], detector=HOSTILE, message=HOSTILE, moved=(HOSTILE,), example_ids=(HOSTILE,)
    )
    estimate = Estimate(HOSTILE, HOSTILE, 0.5, Interval(0.4, 0.6, method=HOSTILE), 9, HOSTILE, refusals=(HOSTILE,))
    result = replace(
        results[12],
        signals=(signal,),
        estimates=(estimate,),
        headline=HOSTILE,
        advice=(HOSTILE,),
        id=HOSTILE,
        release_id=HOSTILE,
        new_alarms=(HOSTILE,),
    )
    shown = Example(np.zeros((4, 4, 1), np.uint8), {HOSTILE: HOSTILE}, HOSTILE, 0.4)
    release = replace(releases[0], model_id=HOSTILE, actor=HOSTILE, reason=HOSTILE)
    row = LedgerRow(1, result.end, HOSTILE, "promotion_refused", {"reason": HOSTILE}, "", "")
    pages = [
        watch_page(
            result,
            results,
            model=HOSTILE,
            environment=HOSTILE,
            examples={HOSTILE: shown},
            reference_examples=[shown],
            decision=replace(decision, headline=HOSTILE, terms={HOSTILE: HOSTILE}),
            timeline=build_timeline([result], [release], [row]),
        ),
        report_page(
            HOSTILE,
            build_timeline([result], [release], [row]),
            [Section(HOSTILE, (HOSTILE,), (HOSTILE,), ((HOSTILE,),))],
            releases=[release],
            verdicts=[replace(verdict, outcomes=(replace(verdict.outcomes[1], rule=HOSTILE, message=HOSTILE),))],
            refusals=[row],
            reports=[replace(report, model_id=HOSTILE, notes=(HOSTILE,))],
            ledger_head=HOSTILE,
            ledger_problems=[HOSTILE],
            facts=[(HOSTILE, HOSTILE)],
            moved=[(HOSTILE, [shown.image])],
            narrative=[HOSTILE, HOSTILE],
            how_made=HOSTILE,
            names={HOSTILE: HOSTILE},
        ),
        model_report_page(
            replace(report, notes=(HOSTILE,)),
            verdict,
            replace(model, model=HOSTILE, origin=HOSTILE, classes=(HOSTILE,)),
        ),
    ]
    for html in pages:
        assert "<script" not in html
        assert_self_contained(html)
        assert HOSTILE in Page(html).text


@pytest.mark.parametrize("condition", list(Condition))
def test_an_empty_window_still_makes_a_page(results, condition):
    bare = replace(
        results[0],
        condition=condition,
        signals=(),
        estimates=(),
        headline="",
        advice=(),
        label_age_days=None,
        rows=0,
        budget=0.0,
        figures={},
    )
    html = watch_page(bare, model="", environment="")
    assert_self_contained(html)
    text = Page(html).text
    assert "no standing label yet" in text
    assert condition.value in text
    assert "No budget is set" in text


def test_numbers_that_are_not_numbers(results):
    nan, endless = float("nan"), float("inf")
    signal = replace(results[0].signals[0], evidence=nan, alpha=nan)
    worst = replace(results[0].signals[1], evidence=endless, alarm=True)
    estimate = replace(results[0].estimates[0], value=nan, interval=Interval(nan, nan))
    odd = replace(results[0], signals=(signal, worst), estimates=(estimate,), budget_spent=nan, label_age_days=nan)
    html = watch_page(odd, model="m", environment="e")
    assert not re.search(r"\b(nan|inf)\b", Page(html).text)
    assert_self_contained(html)


def test_empty_reports(report, model):
    assert_self_contained(report_page("nothing yet", Timeline()))
    assert_self_contained(report_page("nothing yet", moved=[("none", [])]))
    bare = replace(report, measurements=(), comparisons=(), findings=(), notes=())
    html = model_report_page(bare, None, replace(model, data_id=None, classes=(), recipe={}, figures={}))
    assert "not yet judged" in Page(html).text
    assert_self_contained(html)


def test_rows_of_a_table_are_shown_as_columns(results):
    row = Example(None, {"age": 41, "city": None, "income": float("nan")}, "yes", None)
    text = Page(watch_page(results[12], model="m", environment="e", examples={"a": row})).text
    for part in ("age", "41", "city", "missing", "yes"):
        assert part in text
    assert "sure" not in re.sub(r"how sure it was", "", text)


def test_commands_are_shown_as_code_and_nothing_else_becomes_markup(results):
    hostile = replace(
        results[12], headline="Say `run <b>`. And <i>more</i>.", advice=("do `backstay label --request 5`", "<script>x")
    )
    html = watch_page(hostile, model="m", environment="e", notes=("a lone ` stays",))
    assert "<code>backstay label --request 5</code>" in html
    assert "<code>run &lt;b&gt;</code>" in html
    assert "a lone ` stays" in html
    assert "<script>" not in html
    assert "<i>" not in html
    assert_self_contained(html)


def test_no_line_break_parts_an_arrow(results):
    moved = replace(results[12], headline="Moved: x: 47.6% -> 17.0%. See `a -> b`.", advice=("from 3 -> 4",))
    html = watch_page(moved, model="m", environment="e")
    assert "x: 47.6% → 17.0%." in html
    assert "from 3 → 4" in html
    assert "<code>a -&gt; b</code>" in html


def test_the_caption_speaks_of_what_is_drawn(results, report_html):
    text = Page(watch_page(results[12], results[:12], model="m", environment="e")).text
    assert "Vertical lines are releases" not in text
    assert "Vertical lines are releases. Numbers are explained below." in Page(report_html).text


def test_without_a_project_no_release_is_spoken_of(results):
    text = Page(watch_page(results[12], model="m", environment="e", released=False)).text
    assert "release" not in text
    assert "accuracy on the reference" in text


def test_on_a_narrow_page_headings_dates_and_ids_may_wrap(watch_html):
    narrow = watch_html.split("@media (max-width:640px){")[1].split("@media")[0]
    wrapping = " ".join(re.findall(r"([^{}]+)\{[^{}]*white-space:normal", narrow))
    for what in ("thead th", "td.id", ".nw"):
        assert what in wrapping
