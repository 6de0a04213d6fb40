"""Templates filled in, everything escaped that is not ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from backstay.kernel.records import Comparison, Measurement
from backstay.render import prose

_CODE = re.compile(r"`([^`\n]+)`")


def fill(template: str, **values: Any) -> str:
    """The page that `templates/<template>` makes of these values. Text is escaped; only our own SVG and CSS is not."""
    return _environment().get_template(template).render(css=_css(), **values).rstrip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("backstay.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "coded": coded,
        "percent": prose.percent,
        "number": prose.number,
        "figure": lambda value, metric: prose.figure(metric, value),
        "evidence": prose.evidence,
        "chance": prose.chance,
        "day": prose.day,
        "moment": prose.moment,
        "short": prose.short,
        "metric_name": prose.metric_name,
        "control_name": prose.control_name,
        "estimate_name": prose.estimate_name,
        "label_age": prose.label_age,
        "badge": prose.badge,
        "anything": prose.anything,
        "plain": lambda name: str(name).replace("_", " "),
        "value": _value,
        "interval": _interval,
        "interval_glyph": _glyph,
        "difference": _difference,
        "difference_interval": _difference_interval,
    }
    return environment


@dataclass(frozen=True, slots=True)
class Escaped:
    """HTML in which everything has been escaped that is not ours: the engine takes it as it is."""

    html: str

    def __html__(self) -> str:
        return self.html


def coded(text: object) -> Escaped:
    """Text with its `commands` as code, everything in it escaped; an arrow is one sign, which no line break parts.

    >>> print(coded("say `backstay watch <FILE>` & look: 47.6% -> 17.0%").html)
    say <code>backstay watch &lt;FILE&gt;</code> &amp; look: 47.6% → 17.0%
    """
    pieces = _CODE.split(str(text))
    parts = (escape(piece if place % 2 else piece.replace(" -> ", " → ")) for place, piece in enumerate(pieces))
    return Escaped("".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)))


@cache
def _css() -> str:
    return (files("backstay.render") / "templates" / "style.css").read_text("utf-8").strip()


def _value(m: Measurement) -> str:
    return prose.figure(m.metric, m.value)


def _interval(m: Measurement) -> str:
    return prose.between(m.metric, m.interval)


def _difference(c: Comparison) -> str:
    return prose.difference(c.metric, c.difference)


def _difference_interval(c: Comparison) -> str:
    return prose.difference_between(c.metric, c.interval)


def _glyph(m: Measurement) -> dict[str, str] | None:
    """Places on a rule from 0 to 1; None for figures that have no such scale, or no interval."""
    if m.interval is None or not m.finite or (m.metric not in prose.SHARES and m.metric != "auc"):
        return None
    places = {"low": m.interval.low, "value": m.value, "high": m.interval.high}
    return {name: f"{2 + 100 * min(max(at, 0.0), 1.0):.2f}" for name, at in places.items()}
