"""Matplotlib figures as SVG that belongs in a page: colours that follow light and dark, ids that do not clash."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Drawn colour to the page's variable of the same name. Okabe and Ito's palette, told apart by every common colour
# vision; the page sets brighter ones for a dark background.
PALETTE = {
    "ink": "#1c2127",
    "muted": "#5b6570",
    "grid": "#d9dee4",
    "paper": "#fdfdfc",
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#008a66",
    "purple": "#a3517f",
    "sky": "#3a8fc4",
    "gold": "#b07d00",
}
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "timezone": "UTC",
    "axes.unicode_minus": True,
    "text.usetex": False,
    "text.parse_math": False,
    "path.simplify": False,
    "figure.dpi": 72.0,
    "text.color": PALETTE["ink"],
    "axes.edgecolor": PALETTE["grid"],
    "axes.labelcolor": PALETTE["muted"],
    "xtick.color": PALETTE["muted"],
    "ytick.color": PALETTE["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.transparent": True,
}


def draw(paint: Callable[[], Figure], *, name: str, alt: str, titles: Mapping[str, str] | None = None) -> str:
    """The figure that `paint` makes, as one `<svg>` element, byte-identical for the same figure.

    Args:
        name: prefixes every id inside, so that several figures can live in one page.
        alt: what the figure shows, for people who cannot see it.
        titles: tooltips by the `gid` of what they belong to.
    """
    text = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    style: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "svg.hashsalt": f"backstay {name}"}
    with matplotlib.rc_context(style):
        paint().savefig(text, format="svg", metadata=nothing)
    return _fit_for_page(text.getvalue(), name, alt, titles or {})


def _fit_for_page(svg: str, name: str, alt: str, titles: Mapping[str, str]) -> str:
    svg = svg[svg.index("<svg") :].strip()
    for variable, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    for gid, title in titles.items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>')
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    svg = re.sub(r'<svg ([^>]*?)width="[^"]+" height="[^"]+"', r"<svg \1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)height="[^"]+"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\bwidth="[^"]+"', r"\1", svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
