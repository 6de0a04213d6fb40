"""`backstay watch --all`: every live model of a project, one after the other; one that cannot be judged stops none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backstay.cli.options import answer
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json


def watch_all(project: Path, *, now: bool, act: bool, dry_run: bool, explain: bool, as_json: bool) -> int:
    """Judge them and tell of each. The exit code is the gravest: 2 or 1 where one failed, then 3 for an alarm.

    Raises:
        NotFound: no model of the project has been released yet.
    """
    from backstay.cli import show
    from backstay.kernel.codec import encode
    from backstay.progress import reporter
    from backstay.project import Project

    told: list[Json] = []
    codes: list[int] = []
    for one in Project.open_live(project, progress=reporter()):
        head: Json = {"model": one.ws.name, "environment": one.ws.environment}
        if not as_json:
            show.say(f"{one.ws.name} in {one.ws.environment}")
        try:
            watched = one.monitor.watch(close_now=now, act=act, dry_run=dry_run)
        except BackstayError as error:
            codes.append(error.exit_code)
            told.append(head | {"error": error.what, "fix": error.fix, "kind": type(error).__name__})
            if not as_json:
                show.say(f"error: {error.what}\n  {error.fix}")
            continue
        codes.append(3 if watched.alarming else 0)
        told.append(head | {"watched": encode(watched)})
        if not as_json:
            show.watched(watched, explain=explain)
    if as_json:
        answer(told, True, show.as_json)
    return gravest(codes)


def gravest(codes: Sequence[int]) -> int:
    """A look that failed counts for more than an alarm, which somebody has been told of.

    >>> gravest([0, 3, 2]), gravest([0, 3]), gravest([0, 0])
    (2, 3, 0)
    """
    return next((code for code in (1, 2, 3) if code in codes), 0)
