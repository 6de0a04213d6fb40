"""A picture of the space of representations: the reference rows by class, and the newest traffic on top of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from backstay.render.svg import PALETTE, draw

COLOURS = ("blue", "orange", "green", "purple", "gold", "sky")
SHAPES = ("o", "^", "s", "D", "v", "P")
OTHER = "other classes"
LIVE = "newest traffic"


@dataclass(frozen=True, slots=True, eq=False)
class SpaceMap:
    """Places in the plane: reference rows [n, 2] with the class of each, newest traffic [m, 2].

    Args:
        axes: what each axis is, for its label.
        caption: how to read it, and what it cannot show.
    """

    reference: npt.NDArray[np.float64]
    classes: tuple[str, ...]
    live: npt.NDArray[np.float64]
    axes: tuple[str, str]
    caption: str


def space_figure(space: SpaceMap) -> str:
    """The picture as `<svg>`."""
    named = shown_classes(space.classes)
    live = f" and {len(space.live)} rows of the newest traffic" if len(space.live) else ""
    alt = (
        f"{len(space.reference)} reference rows of {len(set(space.classes))} classes{live}, placed in a plane. "
        f" {space.caption}"
    )
    return draw(partial(_paint, space, named), name="space", alt=alt)


def shown_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The commonest classes, as many as can be told apart, in alphabetical order."""
    return tuple(sorted(name for name, _ in Counter(sorted(classes)).most_common(len(COLOURS))))


def _paint(space: SpaceMap, named: tuple[str, ...]) -> Figure:
    figure = Figure(figsize=(7.2, 5.4))
    axes = figure.add_subplot()
    classes = np.array(space.classes, dtype=object)
    rest = ~np.isin(classes, named)
    labels: list[str] = []

    def scatter(places: npt.NDArray[np.float64], label: str, **style: Any) -> None:
        # The legend leaves out names that begin with "_": it is given numbers, and the names afterwards.
        axes.scatter(places[:, 0], places[:, 1], label=str(len(labels)), **style)
        labels.append(label)

    if rest.any():
        scatter(space.reference[rest], OTHER, s=9, c=PALETTE["grid"], linewidths=0)
    for i, each in enumerate(named):
        style = {"c": PALETTE[COLOURS[i]], "marker": SHAPES[i]}
        scatter(space.reference[classes == each], each, s=13, linewidths=0, alpha=0.55, **style)
    if len(space.live):
        scatter(space.live, LIVE, s=26, facecolors="none", edgecolors=PALETTE["ink"], linewidths=0.7)
    axes.set_xlabel(space.axes[0])
    axes.set_ylabel(space.axes[1])
    axes.set_xticks([])
    axes.set_yticks([])
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handletextpad=0.3)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(_short(label))
    figure.tight_layout()
    return figure


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
