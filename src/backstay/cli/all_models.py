"""`backstay watch --all`: every live model of a project, one after the other; one that cannot be judged stops none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.cli.options import answer, complain, line
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json

if TYPE_CHECKING:
    from backstay.loop.several import Found, Look


def watch_all(
    project: Path,
    *,
    now: bool,
    act: bool,
    dry_run: bool,
    explain: bool,
    as_json: bool,
    pages: Path | None = None,
    metrics: Path | None = None,
) -> int:
    """Judge them and tell of each. The exit code is the gravest: 1 or 2 where one failed, then 3 for an alarm.

    Raises:
        NotFound: no model of the project has been released yet.
    """
    from backstay.cli import show
    from backstay.loop.several import Roster, look_at_each

    told: list[Json] = []

    def tell(look: Look) -> None:
        told.append(_document(look))
        if not as_json:
            _say(look, explain=explain)

    models, _ = Roster(_finder(project)).models()
    try:
        looks = look_at_each(models, tell, close_now=now, act=act, dry_run=dry_run, pages=pages, metrics=metrics)
    finally:
        # What was seen is told, whatever came of the pages.
        if as_json and told:
            answer(told, True, show.as_json)
    return gravest([_code(look) for look in looks])


def keep_watching_all(
    project: Path,
    *,
    minutes: float,
    act: bool,
    explain: bool,
    as_json: bool,
    pages: Path | None = None,
    metrics: Path | None = None,
) -> None:
    """Judge all that are live again and again, until interrupted; in JSON a line a model and look.

    Raises:
        NotFound: no model of the project has been released yet. Later on that is told, and all that were found last
            are watched as they were: so it is where the project file cannot be read for a while.
    """
    from backstay.kernel.faults import told
    from backstay.loop.agent import again
    from backstay.loop.several import Roster, look_at_each

    roster = Roster(_finder(project))
    roster.models()

    def tell(look: Look) -> None:
        if as_json:
            line(_document(look))
        else:
            _say(look, explain=explain)

    def round_of_looks() -> None:
        try:
            models, gone = roster.models()
        except Exception as error:  # noqa: BLE001 - it is told, and whoever watches must go on watching
            complain(told(error), as_json)
            models, gone = roster.former, []
        if not as_json:
            _head(f"looking at {len(models)} models at {datetime.now().astimezone():%Y-%m-%d %H:%M}")
        for look in gone:
            tell(look)
        try:
            look_at_each(models, tell, act=act, pages=pages, metrics=metrics)
        except BrokenPipeError:
            raise  # nobody reads what is told: main ends it
        except Exception as error:  # noqa: BLE001 - it is told, and whoever watches must go on watching
            complain(told(error), as_json)
        sys.stdout.flush()

    again(round_of_looks, every_seconds=60.0 * minutes)


def _finder(project: Path) -> Callable[[], Sequence[Found]]:
    """Finds the live models as they stand when it is called; those that stand as before are not opened again."""
    from backstay.loop.several import Found
    from backstay.progress import reporter
    from backstay.project import Opened, Project

    opened: list[Opened] = []

    def find() -> Sequence[Found]:
        before = [one.project for one in opened if one.project is not None]
        opened[:] = Project.open_each(project, before=before, progress=reporter())
        return [
            Found(one.model, one.environment, None if one.project is None else one.project.ws, one.error)
            for one in opened
        ]

    return find


def _document(look: Look) -> Json:
    """What a program is told of one model."""
    from backstay.kernel.codec import encode

    head: Json = {"model": look.model, "environment": look.environment}
    if look.error is None:
        return head | {"watched": encode(look.watched)}
    return head | {"error": look.error.what, "fix": look.error.fix, "kind": type(look.error).__name__}


def _say(look: Look, *, explain: bool) -> None:
    """What a person is told of one model."""
    from backstay.cli import show

    _head(f"{look.model} in {look.environment}")
    if look.error is not None:
        show.say(f"error: {look.error.what}\n  {look.error.fix}")
    elif look.watched is not None:
        show.watched(look.watched, explain=explain)


def _head(text: str) -> None:
    from backstay.cli import show

    show.say(text)


def _code(look: Look) -> int:
    if look.error is not None:
        return look.error.exit_code
    return 3 if look.watched is not None and look.watched.alarming else 0


def gravest(codes: Sequence[int]) -> int:
    """A look that failed counts for more than an alarm, which somebody has been told of.

    >>> gravest([0, 3, 2]), gravest([0, 3]), gravest([0, 0])
    (2, 3, 0)
    """
    return next((code for code in (1, 2, 3) if code in codes), 0)


def refuse_what_is_of_one(**given: object) -> None:
    """Options that are about one model have no meaning with all of them.

    Raises:
        BackstayError: one of them was given.
    """
    if any(value is not None for value in given.values()):
        names = ", ".join(f"--{name}" for name in given)
        raise BackstayError("--all watches every model, by what is logged of each", fix=f"leave out {names}")
