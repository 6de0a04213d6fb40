"""Every command and every piece of Python on these pages is run as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

PAGES = ("README.md", "docs/own_model.md", "docs/own_data.md", "docs/operations.md")
COMMANDS = ("", "bash")
# A reader begins anew where a model is adopted or data are looked at, except for successors of a live model.
BEGINS = re.compile(r"backstay (init|adopt)\b(?!.*--challenger)")
MAY_BE_REFUSED = "exit code 3"


def test_commands(page_commands: list[str], shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Type a chapter's lines one after another; the first that fails is told with what it printed."""
    for line in page_commands:
        if BEGINS.match(line):
            shell.begin()
        code, printed = shell.type(line)
        told = capsys.readouterr()
        allowed = (0, 3) if MAY_BE_REFUSED in line else (0,)
        assert code in allowed, f"`{line}` ended with {code}:\n{told.out}{told.err}{printed}"


@pytest.fixture(params=PAGES)
def page_commands(request: pytest.FixtureRequest, blocks: Callable[[str], list[Any]]) -> list[str]:
    """All command lines of a page, in order."""
    found = [c for block in blocks(request.param) if block.language in COMMANDS for c in block.commands]
    assert sum(line.startswith("backstay ") for line in found) > 2
    return found


def test_a_command_that_fails_is_noticed(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell of these tests tells success from failure, in this process and outside."""
    assert shell.type("backstay status")[0] == 2
    assert shell.type("backstay statsu")[0] == 2
    assert shell.type("false | true")[0] == 1
    assert shell.type("echo fine > out.txt  # a comment")[0] == 0
    capsys.readouterr()
