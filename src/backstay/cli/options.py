"""Options that every verb shares, and how a verb opens its project, shows its answer and ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError

if TYPE_CHECKING:
    from backstay.project import Project

FIRST = "First steps"
MORE = "More"

ProjectOption = Annotated[Path, typer.Option("--project", help="Folder of backstay.toml, or a folder below it.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Which model of the project.")]
EnvironmentOption = Annotated[str | None, typer.Option("--environment", help="Which environment.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

HERE = Path()


def opened(project: Path, model: str | None, environment: str | None) -> Project:
    """The project, with progress shown as suits this output."""
    from backstay.progress import reporter
    from backstay.project import Project

    return Project.open(project, model=model, environment=environment, progress=reporter())


def answer(value: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """Print a result: for a program as one JSON document, for a person as `show` has it."""
    if as_json:
        sys.stdout.write(json.dumps(encode(value), indent=2) + "\n")
    else:
        show(value)


def line(value: Any) -> None:
    """Print one JSON document on one line, for a program that reads as long as we speak."""
    sys.stdout.write(json.dumps(encode(value)) + "\n")
    sys.stdout.flush()


def complain(error: BackstayError, as_json: bool) -> None:
    """Say what went wrong and what to do; for a program as one JSON document."""
    if as_json:
        line({"error": error.what, "fix": error.fix, "kind": type(error).__name__, "exit_code": error.exit_code})
    word = "refused" if error.exit_code == 3 else "error"
    sys.stderr.write(f"{word}: {error.what}\n  {error.fix}\n")
