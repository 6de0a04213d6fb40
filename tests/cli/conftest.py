"""The command line, called in this process: its exit code, its text, its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backstay.cli.main import run


@dataclass(frozen=True)
class Said:
    """What one command line ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The structured lines on standard error."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


Command = Callable[..., Said]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line, in this folder if one is given."""

    def call(*arguments: str, project: Path | None = None) -> Said:
        capsys.readouterr()
        where = [] if project is None else ["--project", str(project)]
        code = run([*arguments, *where])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call
