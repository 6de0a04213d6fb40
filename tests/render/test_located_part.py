"""The page's section on where a change lies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backstay.kernel.records import Cell, Interval, Located
from backstay.render.examples import Example
from backstay.render.located_part import located_part
from backstay.render.watch_page import watch_page

HOSTILE = '<script>alert("x")</script>'
MORE = Cell(0.02, 0.1, Interval(3.0, 8.0), 1e-6, (f"plan {HOSTILE} 93% (12%)",), ("a", "gone"), ())
FEWER = Cell(0.1, 0.02, Interval(0.1, 0.4), 1e-6, (), (), (7, 8))
LOCATED = Located("embedding", (MORE, FEWER), 2, 32, 500, 1000)


def picture(shade: int) -> Example:
    return Example(np.full((8, 8, 1), shade, np.uint8), {}, "boot", 0.9)


def test_rows_of_now_are_shown_of_what_came_and_rows_of_before_of_what_went():
    part = located_part(LOCATED, {"a": picture(1), "b": picture(2)}, {7: picture(3), 8: picture(4)})
    came, went = part.cells
    assert (came.grew, went.grew) == (True, False)
    assert [tile.alt for tile in came.rows] == ["an image from now, answered boot, 90% sure"]
    assert [tile.alt for tile in went.rows] == ["an image from before, answered boot, 90% sure"] * 2
    assert located_part(None, {}, {}) is None


def test_the_page_shows_it_and_escapes_it(results):
    result = replace(results[12], located=LOCATED)
    html = watch_page(result, model="m", environment="e", examples={"a": picture(1)}, missed_examples={7: picture(3)})
    part = html[html.index("Where it lies") : html.index("Over time")]
    assert part.count("<img") == 2
    assert HOSTILE not in html
    assert "2.0% -&gt; 10.0% of the rows, 5 times (3 to 8)" in part
    assert "Counted: 500 independent rows now, 1,000 of the reference." in part
    assert "about 10% may be named wrongly" in part


def test_why_nothing_can_be_told_is_said_and_nothing_else(results):
    result = replace(results[12], located=Located("columns", why_not="90 independent reference rows"))
    html = watch_page(result, model="m", environment="e")
    part = html[html.index("Where it lies") : html.index("Over time")]
    assert "Not told by clusters of rows: 90 independent reference rows" in part
    assert "Counted" not in part
    assert "Where it lies" not in watch_page(results[12], model="m", environment="e")


def test_headlines_for_none_one_and_some():
    assert LOCATED.headline.endswith("hold another share than before")
    assert replace(LOCATED, changed=9).headline.endswith("; the 2 that changed most are shown")
    assert replace(LOCATED, changed=1).headline.startswith("1 of 32 clusters of like rows holds")
    assert "none of 32" in replace(LOCATED, changed=0, cells=()).headline
    assert replace(FEWER, times=Interval(0.0, math.inf)).line.endswith("0.2 times (0 to any number)")
