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


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, blocks: Callable[[str], list[Any]], shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Type a page from top to bottom; the first line that fails is told with what it printed."""
    typed = 0
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n".join(block.lines), f"{page}:{block.line}", "exec"), {})  # noqa: S102 - our own page
            continue
        for line in block.commands if block.language in COMMANDS else ():
            if BEGINS.match(line):
                shell.begin()
            code, printed = shell.type(line)
            told = capsys.readouterr()
            allowed = (0, 3) if MAY_BE_REFUSED in line else (0,)
            assert code in allowed, f"`{line}` ended with {code}:\n{told.out}{told.err}{printed}"
            typed += line.startswith("backstay ")
    assert typed > 2, f"{page} shows no commands"


def test_a_command_that_fails_is_noticed(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell of these tests tells success from failure, in this process and outside."""
    assert shell.type("backstay status")[0] == 2
    assert shell.type("backstay statsu")[0] == 2
    assert shell.type("false | true")[0] == 1
    assert shell.type("echo fine > out.txt  # a comment")[0] == 0
    capsys.readouterr()
