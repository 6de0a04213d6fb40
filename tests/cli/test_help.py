"""What help shows: two panels, an example for every verb that its own parser takes, exit codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from backstay.cli.main import app

FIRST = ["adopt", "init", "run", "promote", "rollback", "serve", "watch"]
MORE = [
    "log", "label", "notify", "retrain", "teach", "transfer", "predict", "audit", "history", "report",
    "index", "search", "cluster", "enhance",
    "status", "verify", "sign", "key", "settings", "upgrade", "backup", "restore", "gc", "forget",
    "demo",
]  # fmt: skip
VERBS = [*FIRST, *MORE]


def plain(text: str) -> str:
    """Help as words: without colours, frames and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text).split())


def panel(text: str, title: str) -> list[str]:
    """The verbs of a panel, in their order."""
    inside = text.split(f" {title} ")[1].split("╰")[0]
    return re.findall(r"^│ ([a-z]+) ", inside, re.MULTILINE)


def test_the_first_ten_minutes_come_first(command):
    said = command("--help")
    assert said.code == 0
    assert panel(said.out, "First steps") == FIRST
    assert panel(said.out, "More") == MORE


def test_every_verb_is_in_the_lists_of_these_tests():
    assert [c.callback.__name__ for c in app.registered_commands] == VERBS


def test_exit_codes_are_in_the_help(command):
    assert "0 done, 2 bad usage or input, 3 refused by a gate or an alarm, 1 a fault of ours" in plain(
        command("--help").out
    )


def test_no_verb_shows_the_help(command):
    said = command()
    assert said.code in (0, 2)
    assert "First steps" in said.out + said.err


def test_version(command):
    import backstay

    assert command("--version").out == f"backstay {backstay.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_json_and_an_example(command, verb):
    said = command(verb, "--help")
    text = plain(said.out)
    assert said.code == 0
    assert "--json" in text
    assert f"Example: backstay {verb}" in text or f"backstay {verb}" in text.split("Example: ")[1]


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_is_a_command_line_that_its_verb_takes(verb):
    from typer.main import get_command

    info = next(c for c in app.registered_commands if c.callback.__name__ == verb)
    example = str(info.epilog).removeprefix("Example: ")
    for line in re.findall(rf"backstay ({verb}\b[^,)]*)", example):
        words = shlex.split(line)[1:]
        context = get_command(app).commands[verb].make_context(verb, words, resilient_parsing=False)
        assert context.params


def test_verbs_of_a_project_take_project_model_and_environment(command):
    whole = {"upgrade", "backup", "restore", "gc", "verify", "key"}
    for verb in VERBS:
        text = plain(command(verb, "--help").out)
        if verb == "demo":
            continue
        assert "--project" in text, verb
        if verb not in {*whole, "init"}:
            assert "--model" in text, verb
            assert "--environment" in text, verb


def test_help_names_the_file_kinds_that_can_be_read(command):
    assert "csv, parquet, arrow" in plain(command("init", "--help").out)


def test_help_needs_no_project(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert command("watch", "--help").code == 0
