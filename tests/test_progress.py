"""Progress: one structured line a step where a log is kept, a bar that goes away where somebody looks."""

from __future__ import annotations

import io
import json
import sys

import pytest

from backstay.progress import BarProgress, LineProgress, reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_for_each_step_with_what_was_done():
    out = io.StringIO()
    progress = LineProgress(out)
    with progress.step("train", total=3) as tick:
        tick()
        tick(2, note="loss 0.1")
        assert out.getvalue() == ""
    with progress.step("gate"):
        pass
    first, second = lines(out)
    assert first | {"seconds": 0} == {
        "event": "step",
        "name": "train",
        "done": 3,
        "total": 3,
        "seconds": 0,
        "note": "loss 0.1",
    }
    assert second["name"] == "gate"
    assert second["total"] is None


def test_a_step_that_failed_is_not_told_as_done():
    out = io.StringIO()
    with pytest.raises(RuntimeError), LineProgress(out).step("train"):
        raise RuntimeError
    assert lines(out) == []


def test_a_message_is_a_line():
    out = io.StringIO()
    LineProgress(out).say("resumed at epoch 3")
    assert lines(out) == [{"event": "message", "text": "resumed at epoch 3"}]


def test_bars_on_a_terminal_lines_elsewhere():
    assert isinstance(reporter(Terminal()), BarProgress)
    assert isinstance(reporter(io.StringIO()), LineProgress)


def test_a_bar_takes_ticks_and_goes_away(monkeypatch: pytest.MonkeyPatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    progress = BarProgress()
    with progress.step("windows", total=2) as tick:
        tick(note="one")
        tick()
    progress.say("done")
    assert out.getvalue().endswith("done\n")


def test_a_long_step_tells_every_ten_seconds_where_it_is(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("backstay.progress.time.monotonic", lambda: now[0])
    out = io.StringIO()
    with LineProgress(out).step("train", total=60) as tick:
        for _ in range(25):
            now[0] += 1
            tick(1, note="loss 0.1", loss=0.1, images_per_second=250.0)
    first, second, last = lines(out)
    assert [(v["event"], v["done"], v["seconds"]) for v in (first, second)] == [
        ("progress", 10, 10.0),
        ("progress", 20, 20.0),
    ]
    assert (last["event"], last["done"]) == ("step", 25)
    assert first["figures"] == {"loss": 0.1, "images_per_second": 250.0}
    assert (first["name"], first["total"], first["note"]) == ("train", 60, "loss 0.1")
