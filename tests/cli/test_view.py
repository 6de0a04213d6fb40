"""What a person sees at a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from backstay.cli.show import estimate
from backstay.cli.view import view
from backstay.kernel.records import Condition, Decision, Estimate, Interval, Signal, WindowResult
from backstay.loop.watch import Watched

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = WindowResult(
    id="window-1", model="orders", environment="production", release_id="r", start=START,
    end=START + timedelta(days=7), rows=1300, condition=Condition.MOVED,
    signals=(
        Signal("columns", 1.5, True, 0.01, 300, "3 of 9 columns moved", moved=("age rose from 41 to 48",)),
        Signal("prediction", 0.25, False, 0.01, 300, "as before", moved=("not told",)),
    ),
    estimates=(
        Estimate("ppi", "accuracy", 0.9, Interval(0.85, 0.95), 300, "standing labels"),
        Estimate("label-free", "accuracy", None, None, 300, "", ("inputs moved",), labels_needed=50),
    ),
    headline="Inputs moved.", advice=("look at age",), label_age_days=2.0, budget_spent=0.5, budget=1.0,
    created_at=START,
)  # fmt: skip


def shown(value: Watched, history=(), width: int = 100, **options) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(view(value, history, **options))
    return out.getvalue()


def test_everything_that_matters_is_drawn():
    text = shown(Watched((WINDOW,), WINDOW, 17, Decision(False, "Do not retrain: it costs.", {"net": -3.0})))
    for said in (
        "orders in production", "~ moved", "1,300 rows", "Inputs moved.", "columns", "150%", "3 of 9 columns moved",
        "age rose from 41 to 48", "accuracy 0.900 (0.850 to 0.950)", "no label-free estimate: inputs moved",
        "newest label 2 days old", "0.50 of 1 expected false alarms used", "17 rows", "→ look at age",
        "Do not retrain: it costs.",
    ):  # fmt: skip
        assert said in text, said
    assert "17 rows wait in the window that is still filling, which takes 100" in shown(
        Watched((WINDOW,), WINDOW, 17, takes=100)
    )
    assert "not told" not in text
    assert "net" not in text


def test_bars_are_as_long_as_what_they_show():
    lines = shown(Watched((WINDOW,), WINDOW, 0)).splitlines()
    full = next(line for line in lines if "columns" in line and "150%" in line)
    quarter = next(line for line in lines if "prediction" in line)
    half = next(line for line in lines if "budget" in line)
    assert [line.count("█") for line in (full, quarter, half)] == [24, 6, 12]


def test_an_interval_stands_where_it_belongs():
    line = next(line for line in shown(Watched((WINDOW,), WINDOW, 0)).splitlines() if "0.850 to 0.950" in line)
    drawn = line.strip()[:24]
    # From 50% to 100% in 24 steps: 85% is in the 17th, 90% in the 20th, 95% in the 22nd, counted from 0.
    assert drawn == "·" * 16 + "━" * 3 + "┃" + "━" * 2 + "·" * 2


def test_the_past_is_a_line_of_marks():
    past = [replace(WINDOW, condition=c) for c in (Condition.FINE, Condition.FINE, Condition.WORSE)]
    assert "++!~" in shown(Watched((WINDOW,), WINDOW, 0), [*past, WINDOW])


def test_the_arithmetic_where_it_was_asked_for():
    terms = {"net": -3.0, "error rate now": 0.22694354457927857, "known from": "50 labels"}
    text = shown(Watched((WINDOW,), WINDOW, 0, Decision(False, "Do not retrain.", terms)), explain=True)
    lines = [line.strip() for line in text.splitlines()]
    assert {"net: -3", "error rate now: 0.2269", "known from: 50 labels"} <= set(lines)


def test_nothing_to_judge():
    assert "5 rows wait, and the first window needs 20" in shown(Watched((), None, 5), footer="again in 1 minute")


def test_words_in_brackets_are_not_taken_for_colours():
    odd = replace(WINDOW, headline="column [red]x[/red] moved [/]")
    assert "column [red]x[/red] moved [/]" in shown(Watched((odd,), odd, 0))


def test_a_terminal_gets_the_drawing_and_a_pipe_the_lines(tiny):
    command = [sys.executable, "-m", "backstay.cli.main", "watch", "--now", "--project", str(tiny.folder)]
    piped = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    ours, theirs = pty.openpty()
    told = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "100"})
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    told.wait()
    os.close(ours)
    assert piped.stdout
    assert "what is watched" not in piped.stdout
    assert b"what is watched" in seen or b"nothing to judge yet" in seen


def test_limits_at_every_look_of_a_mean_error_say_what_was_cut():
    figures = {"anytime_low": 3.0, "anytime_high": 9.5, "cut_share": 0.02, "cut_at": 40.0}
    said = estimate(
        Estimate("ppi", "mae", 8.25, Interval(7.5, 9.0), 900, "drawn at random", labels=80, figures=figures)
    )
    assert "however often you look, 3.000 to 9.500 with the 2.0% of errors beyond 40 taken as that" in said
    none = Estimate("ppi", "f1", None, None, 900, "", ("a class has 3 labelled rows",), labels=20)
    assert estimate(none) == "no ppi estimate of f1: a class has 3 labelled rows"
