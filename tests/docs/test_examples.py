"""Every command and every piece of Python on these pages is run as it stands."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstay.settings import model_names, parse

PAGES = (
    "README.md",
    "docs/own_model.md",
    "docs/own_data.md",
    "docs/operations.md",
    "docs/serving.md",
    "docs/labels.md",
)
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
    assert typed > 1, f"{page} shows no commands"


def test_a_command_that_fails_is_noticed(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell of these tests tells success from failure, in this process and outside."""
    assert shell.type("backstay status")[0] == 2
    assert shell.type("backstay statsu")[0] == 2
    assert shell.type("false | true")[0] == 1
    assert shell.type("echo fine > out.txt  # a comment")[0] == 0
    capsys.readouterr()


ROOT = Path(__file__).resolve().parents[2]
OTHERS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.stem != "README"
)


@pytest.mark.parametrize("page", OTHERS)
def test_python_toml_and_json_on_every_page(page: str, blocks: Callable[[str], list[Any]]) -> None:
    """Python runs, project files parse for each of their models and environments, and JSON is JSON."""
    for block in blocks(page):
        text = "\n".join(block.lines)
        if block.language == "python" and page not in PAGES:
            exec(compile(text, f"{page}:{block.line}", "exec"), {})  # noqa: S102 - our own page
        elif block.language == "toml":
            document = tomllib.loads(text)
            for model in model_names(document):
                for environment in (None, *document.get("environments", {})):
                    assert parse(document, model=model, environment=environment).version == 1
        elif block.language == "json":
            json.loads(text)
        else:
            assert block.language in ("", "bash", "python"), f"{page}:{block.line}: nothing runs {block.language!r}"
