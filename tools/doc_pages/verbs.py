"""The page of the command line: every verb with its options and its example."""

from __future__ import annotations

from typing import Any

import typer.main

from backstay.cli.main import app
from doc_pages.prose import NOTE


def verbs_page() -> str:
    """Every verb with its options and its example."""
    lines = [
        "# Verbs",
        NOTE,
        "",
        "Exit codes of every verb: 0 done, 2 bad usage or input, 3 refused by a gate or an alarm, 1 a fault of ours. "
        "With `--json` the answer is one JSON document on standard output, errors included.",
    ]
    shared = {"project", "environment", "as_json"}
    for name, command in verbs().items():
        lines += ["", f"## {name}", "", (command.help or "").strip(), ""]
        lines += [f"    {(command.epilog or '').removeprefix('Example: ')}", ""]
        for parameter in command.params:
            if parameter.name in shared or "--model" in parameter.opts or parameter.name == "help":
                continue
            told = getattr(parameter, "help", None) or ""
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.opts[0].upper()
            lines.append(f"- `{shown}`: {told}")
    lines += [
        "",
        "## Every verb",
        "",
        "- `--project`: the folder of `backstay.toml`, or one below it; the current folder by default.",
        "- `--model`, `--environment`: which model of the project, in which environment.",
        "- `--json`: for programs.",
    ]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def verbs() -> dict[str, Any]:
    """Every verb's click command, by name."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined] # a group has commands
