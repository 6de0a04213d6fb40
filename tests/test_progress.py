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
