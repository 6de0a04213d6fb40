"""The page of the project file: a table for each of its sections."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from backstay.settings import Rule, Settings
from doc_pages.prose import NOTE, summary


def settings_page() -> str:
    """A table of the project file for each of its sections."""
    lines = [
        "# Settings",
        NOTE,
        "",
        "Every key of `backstay.toml`. What is left out has its default; an unknown key is an error that names the "
        "nearest known one.",
        "`[models.NAME]` overrides the top for one model, `[environments.NAME]` for one environment. "
        "`backstay settings` prints what is in force, `backstay settings --schema` a JSON Schema for editors.",
        "Secrets are never read from this file.",
    ]
    for path, section in sections(Settings):
        lines += ["", f"## {heading(path)}", "", summary(inspect.getdoc(section) or ""), ""]
        lines += ["| key | what it may be | default | meaning |", "|---|---|---|---|"]
        for name, field in section.model_fields.items():
            if section_of(field.annotation) is None or name == "rules":
                lines.append(
                    f"| `{name}` | {kind(field.annotation, field.metadata)} | {default(field)} | {cell(field)} |"
                )
    return "\n".join(lines) + "\n"


def sections(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Every table of the project file with the keys that lead to it."""
    yield path, section
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from sections(inner, (*path, name))


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds: itself, or many times in an array."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def heading(path: tuple[str, ...]) -> str:
    if not path:
        return "At the top"
    return f"[[{'.'.join(path)}]]" if path[-1] == "rules" else f"[{'.'.join(path)}]"


WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def kind(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """A type and its limits in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f'`"{a}"`' for a in arguments)
    if origin is tuple:
        if Ellipsis not in arguments:
            return f"list of {len(arguments)}: {kind(arguments[0])}"
        return "tables, see below" if section_of(annotation) else f"list of {kind(arguments[0])}s"
    if origin is dict:
        return f"table of {kind(arguments[1])} by name"
    if type(None) in arguments:
        return kind(next(a for a in arguments if a is not type(None)), metadata)
    if origin is UnionType:
        words = [kind(argument) for argument in arguments]
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if hasattr(annotation, "__metadata__"):
        return kind(arguments[0], annotation.__metadata__)
    limits = list(limits_of(metadata))
    return " ".join([WORDS[annotation], *([", ".join(limits)] if limits else [])])


def limits_of(metadata: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    """Bounds as pydantic keeps them, in words."""
    for item in metadata:
        inner = getattr(item, "metadata", None)
        if inner:
            yield from limits_of(inner)
        for name, word in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            bound = getattr(item, name, None)
            if bound is not None:
                yield f"{word} {bound}"
        pattern = getattr(item, "pattern", None)
        if pattern:
            yield f"like `{pattern}`"


def default(field: Any) -> str:
    """A default as one would write it in the file."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple) and value and isinstance(value[0], Rule):
        return ", ".join(f"`{rule.rule}` (margin {rule.margin:g})" for rule in value)
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{v}"' for v in value) + "]`"
    return f"`{value}`"


def cell(field: Any) -> str:
    return (field.description or "").replace("|", "\\|").replace("\n", " ")
