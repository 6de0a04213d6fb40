"""Quality over releases on one page: the figure, each release's decay and deadline, and how alarms were answered."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.kernel.momentum import Momentum
from backstay.kernel.records import Release, WindowResult
from backstay.render.engine import fill
from backstay.render.momentum_chart import CAPTION, RELEASES, momentum_chart
from backstay.render.timeline import build_timeline

SHOWN = (*RELEASES, "alarm")


def momentum_page(found: Momentum, results: Sequence[WindowResult] = (), releases: Sequence[Release] = ()) -> str:
    """The page of a trend.

    Args:
        results, releases: what it was made from, for the marks of alarms and releases.
    """
    marks = [mark for mark in build_timeline(results, releases).marks if mark.kind in SHOWN]
    watched = [release for release in found.releases if release.windows]
    return fill(
        "momentum.html.j2",
        title=f"{found.model} in {found.environment}: quality over releases",
        m=found,
        last=watched[-1] if watched else None,
        chart=momentum_chart(found, marks),
        caption=CAPTION,
    )
