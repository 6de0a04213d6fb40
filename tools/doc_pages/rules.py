"""The page of the gate's rules, with the keys that each reads."""

from __future__ import annotations

import ast

from backstay.gate.decide import ALWAYS
from backstay.gate.rules import RULES
from backstay.settings import Rule
from doc_pages.prose import NOTE, file_of
from doc_pages.shelves import plug_in


def rules_page() -> str:
    """The shelf of rules, with the keys that each reads."""
    lines = [
        "# Rules of the gate",
        NOTE,
        "",
        "A policy is a list of `[[gate.rules]]`, and all must pass: see [gate.md](gate.md). What is missing or not a "
        "number is refused. Other packages add rules through the entry point `backstay.rules`.",
    ]
    always = {rule.rule for rule in ALWAYS}
    for name in sorted(RULES.built_in):
        keys = ", ".join(f"`{key}`" for key in rule_keys(RULES.built_in[name]))
        lines += ["", f"## {name}", "", plug_in(RULES, name), ""]
        lines.append("Always asked, whatever the policy says." if name in always else f"Keys that it reads: {keys}.")
    return "\n".join(lines) + "\n"


def rule_keys(target: str) -> list[str]:
    """Which keys of a rule its code reads."""
    tree = ast.parse(file_of(target).read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rule"
    }
    return [name for name in Rule.model_fields if name in used]
