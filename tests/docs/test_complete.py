"""Whatever a user can name is documented: plug-ins, rules, verbs and their options, settings, routes, metrics, errors.

There is no list of exceptions. What is asked for is read from the code, never repeated here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from backstay.access.keys import SCOPES
from backstay.cli.main import app
from backstay.data.audit import CHECKS
from backstay.evaluate.metrics import METRICS
from backstay.evaluate.metrics.sets import SET_METRICS
from backstay.evaluate.metrics.values import VALUE_METRICS
from backstay.gate.rules import RULES
from backstay.kernel.records import LabelUse
from backstay.kernel.registry import Shelf
from backstay.monitor.detectors import DETECTORS
from backstay.serve.metrics import Metrics
from backstay.settings import Settings, json_schema
from backstay.train.encoders import ENCODERS
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.numbers import REGRESSORS
from backstay.train.heads import HEADS
from backstay.train.objectives import OBJECTIVES

ROOT = Path(__file__).resolve().parents[2]
SHELVES = (
    ("rules.md", RULES),
    ("detectors/{}.md", DETECTORS),
    ("audits.md", CHECKS),
    ("metrics.md", METRICS),
    ("metrics.md", VALUE_METRICS),
    ("metrics.md", SET_METRICS),
    ("learning/encoders.md", ENCODERS),
    ("learning/estimators.md", ESTIMATORS),
    ("learning/regressors.md", REGRESSORS),
    ("learning/objectives.md", OBJECTIVES),
    ("learning/heads.md", HEADS),
)
FEWEST_WORDS = 5


def page(name: str) -> str:
    path = ROOT / "docs" / name
    return path.read_text() if path.is_file() else ""


def told(name: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page(name), re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


@pytest.mark.parametrize(("name", "shelf"), SHELVES, ids=lambda value: value.what if isinstance(value, Shelf) else "")
def test_every_plug_in_has_a_section(name: str, shelf: Shelf) -> None:
    """A plug-in on a shelf that nobody described fails, whoever put it there."""
    short = [plug_in for plug_in in shelf if len(told(name.format(plug_in), plug_in).split()) < FEWEST_WORDS]
    assert not short, f"docs/{name} does not describe {short}: write its docstring, then run tools/make_docs.py"


def test_every_shelf_of_the_package_is_asked_for() -> None:
    """A new shelf without a page fails."""
    made = [path for path in ROOT.glob("src/backstay/**/*.py") if re.search(r"^\w+ = Shelf\(", path.read_text(), re.M)]
    assert len(made) == len(SHELVES)


def test_every_verb_and_option_is_described() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group has commands
    assert "adopt" in commands
    for name, command in commands.items():
        section = told("verbs.md", name) + told("verbs.md", "Every verb")
        assert command.help, f"{name} has no help"
        assert re.match(rf"Example: .*backstay {name}\b", command.epilog or ""), f"{name} has no example"
        assert command.epilog.removeprefix("Example: ") in section
        for option in command.params:
            shown = option.opts[0] if option.opts[0].startswith("-") else option.opts[0].upper()
            assert f"`{shown}`" in section, f"{name} {shown} is not in docs/verbs.md"
            assert option.help, f"{name} {shown} has no help"


def keys(schema: dict[str, object], node: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Every key of the project file with what is said of it."""
    for name, field in dict(node.get("properties", {})).items():  # type: ignore[call-overload] # JSON
        yield name, str(field.get("description", ""))
    for inner in dict(node.get("$defs", {})).values():  # type: ignore[call-overload] # JSON
        yield from keys(schema, inner)


def test_every_setting_has_a_row_and_a_meaning() -> None:
    found = list(keys(json_schema(), json_schema()))
    assert len(found) > 60
    assert not [name for name, meaning in found if len(meaning.split()) < 2]
    for section in set(_sections(Settings)):
        for name, field in section.model_fields.items():
            if field.annotation not in set(_sections(Settings)):
                meaning = (field.description or "").replace("|", "\\|").replace("\n", " ")
                row = rf"^\| `{name}` \|.*\| {re.escape(meaning)} \|$"
                assert re.search(row, page("settings.md"), re.MULTILINE), f"{section.__name__}.{name}"


def _sections(section: type) -> Iterator[type]:
    yield section
    for field in section.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                yield from _sections(inner)


def test_every_route_status_and_scope_is_described() -> None:
    """Routes are the string constants of the application that begin with /; what its pattern takes counts too."""
    serving = page("serving.md")
    tree = ast.parse((ROOT / "src/backstay/serve/app.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    routes = {text.rstrip("/") for text in texts if re.fullmatch(r"/[\w/]*\w/?", text)}
    assert {"/v2", "/metrics"} <= routes
    pattern = next(text for text in texts if text.startswith("^/v2/models"))
    verbs = re.search(r"\?P<verb>([\w|]+)\)", pattern)
    assert verbs is not None
    for route in routes:
        assert f"`GET {route}`" in serving, route
    for verb in verbs[1].split("|"):
        assert re.search(rf"`(GET|POST) /v2/models/\{{model\}}.*/{verb}`", serving), verb
    statuses = {
        str(node.args[0].value)
        for path in ROOT.glob("src/backstay/serve/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Problem"
        and isinstance(node.args[0], ast.Constant)
    }
    assert {"400", "401", "507"} <= statuses
    table = serving.partition("| status | why |")[2].partition("\n## ")[0]
    assert not [status for status in statuses if status not in table]
    assert not [scope for scope in SCOPES if scope not in serving]


def test_every_parameter_of_a_request_is_described() -> None:
    source = (ROOT / "src/backstay/serve/protocol.py").read_text()
    read = set(re.findall(r'request\.parameters\.get\("(\w+)"\)', source))
    assert {"prediction_ids", "probe"} <= read
    # Those of the protocol's own extension are the protocol's to describe.
    assert not [name for name in read if f"`{name}`" not in page("serving.md") and not name.startswith("binary_")]


def test_every_metric_of_the_server_is_described() -> None:
    families = list(Metrics().registry.collect())
    assert len(families) > 5
    for family in families:
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{shown}`" in page("serving.md"), shown


def test_every_use_of_a_label_is_described() -> None:
    table = told("labels.md", "What each is used for")
    for use in LabelUse:
        assert ("training" if use is LabelUse.TRAIN else use.value) in table
