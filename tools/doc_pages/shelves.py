"""Pages of shelves: each plug-in as its docstring tells it, on the shelf's page or on one of its own."""

from __future__ import annotations

import ast

from backstay.kernel.registry import Shelf
from doc_pages.prose import NOTE, file_of, first_sentence, parts, prose, summary

OPTIONS = "Options"


def shelf_page(title: str, introduction: str, shelves: list[Shelf], up: str = "") -> str:
    """One section a plug-in, from its docstring; `up` leads from the page's folder to docs/."""
    lines = [f"# {title}", NOTE, "", introduction]
    for shelf in shelves:
        if len(shelves) > 1:
            lines += ["", f"## {plural(shelf.what).capitalize()}"]
        level = "###" if len(shelves) > 1 else "##"
        for name in sorted(shelf.built_in):
            lines += ["", f"{level} {name}", "", plug_in(shelf, name, up)]
    return "\n".join([*lines, "", entry_points(shelves)]) + "\n"


def modules_page(title: str, introduction: str, modules: list[str], up: str = "") -> str:
    """One section a module that is no shelf: what it says of itself and of its public functions."""
    lines = [f"# {title}", NOTE, "", introduction]
    for module in modules:
        lines += ["", f"## {module.rpartition('.')[2]}", "", *_module_part(module, up)]
    return "\n".join(lines) + "\n"


def plug_in_page(shelf: Shelf, name: str, above: str, up: str) -> str:
    """The page of one plug-in, with the way back to the table of all."""
    lines = [f"# {name}", NOTE, "", f"{above}", "", plug_in(shelf, name, up)]
    return "\n".join(lines) + "\n"


def table(shelf: Shelf, link: str, columns: tuple[str, ...] = ()) -> list[str]:
    """A row a plug-in: its name as a link, what it is in a sentence, and the first sentence of each part of `columns`.

    `link`: where the name leads, with {} for the name.
    """
    lines = [f"| {' | '.join(('name', 'what it is', *map(str.lower, columns)))} |", "|---" * (2 + len(columns)) + "|"]
    for name in sorted(shelf.built_in):
        told = parts(docstring(shelf, name))
        cells = [first_sentence(told.get(column, "")) for column in ("", *columns)]
        lines.append(f"| [{name}]({link.format(name)}) | {' | '.join(cells)} |")
    return lines


def entry_points(shelves: list[Shelf]) -> str:
    groups = ", ".join(f"`{shelf.group}`" for shelf in shelves)
    return f"Other packages add to these through the {'entry point' if len(shelves) == 1 else 'entry points'} {groups}."


def plural(what: str) -> str:
    """`model of numbers` -> `models of numbers`.

    >>> plural("metric"), plural("model of numbers")
    ('metrics', 'models of numbers')
    """
    first, of, rest = what.partition(" of ")
    return f"{first}s{of}{rest}"


def plug_in(shelf: Shelf, name: str, up: str = "") -> str:
    return prose(docstring(shelf, name), up)


def docstring(shelf: Shelf, name: str) -> str:
    """What a plug-in says of itself: its module where that is its own, and its function.

    Of the function of a file of its own only the options are for a reader, where the module has not told them; a class
    of a file of its own says in its docstring what it holds, which is of no use to a reader.
    """
    target = shelf.built_in[name]
    tree = ast.parse(file_of(target).read_text())
    attribute = target.partition(":")[2]
    alone = sum(other.partition(":")[0] == target.partition(":")[0] for other in shelf.built_in.values()) == 1
    module = (ast.get_docstring(tree) or "") if alone else ""
    kinds = ast.FunctionDef if alone else ast.FunctionDef | ast.ClassDef
    own = [ast.get_docstring(n) or "" for n in tree.body if isinstance(n, kinds) and n.name == attribute]
    options = [f"**{OPTIONS}:**{text.removeprefix(f'{OPTIONS}:')}" for text in own if text.startswith(f"{OPTIONS}:")]
    if OPTIONS in parts(module):
        own = []
    elif options:
        own = options
    return "\n\n".join(text for text in (module, *own) if text)


def _module_part(module: str, up: str) -> list[str]:
    tree = ast.parse(file_of(module).read_text())
    lines = [prose(ast.get_docstring(tree) or "", up)]
    for node in tree.body:
        told = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
        if told and not node.name.startswith("_"):
            lines += ["", f"- **{node.name}**: {summary(told)}"]
    return lines
