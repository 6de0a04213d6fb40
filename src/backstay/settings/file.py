"""backstay.toml: found, read, merged with its overrides, and every fault of it explained."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from backstay.kernel.errors import BackstayError, NotFound, nearest
from backstay.settings.checks import contradictions
from backstay.settings.gate import Rule
from backstay.settings.root import VERSION, Settings
from backstay.settings.unread import named_keys, unread

FILE_NAME = "backstay.toml"


def find(start: Path) -> Path:
    """The project file in this folder or the nearest one above."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise NotFound(
        f"no {FILE_NAME} in {start} or above",
        fix="begin with `backstay adopt MODEL.onnx ...` or `backstay init DATA ...`, or name one with --project",
    )


def read(path: Path) -> dict[str, Any]:
    """The project file as it stands."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no project file {path}", fix="name one with --project") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BackstayError(f"{path} is not valid TOML: {error}", fix="mend the line that it names") from error


def model_names(document: dict[str, Any]) -> list[str]:
    """The models of a project: the one at the top, and those under [models.NAME]."""
    return [str(document.get("name", "model")), *document.get("models", {})]


def environment_names(document: dict[str, Any]) -> list[str]:
    """The environments of a project: the one at the top, and those under [environments.NAME]."""
    return [str(document.get("environment", "production")), *document.get("environments", {})]


def parse(document: dict[str, Any], *, model: str | None = None, environment: str | None = None) -> Settings:
    """Settings of one model in one environment. [models.NAME] and then [environments.NAME] override the top.

    >>> parse({"version": 1, "models": {"b": {"train": {"epochs": 3}}}}, model="b").train.epochs
    3
    """
    base = {k: v for k, v in document.items() if k not in ("models", "environments")}
    top, levels = base, []
    version = base.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise BackstayError(
            f"the project file has version {version!r}, this Backstay reads up to {VERSION}",
            fix="install a newer Backstay, or correct `version`",
        )
    if version < VERSION:
        raise BackstayError(f"the project file has version {version}", fix="run `backstay upgrade`, it backs up first")
    if model is not None and model != base.get("name", "model"):
        others = document.get("models", {})
        if model not in others:
            raise NotFound(f"the project has no model {model!r}", fix=nearest(model, model_names(document)))
        base = _merge({**base, "name": model}, others[model])
        levels.append(others[model])
    if environment is not None and environment != base.get("environment", "production"):
        overrides = document.get("environments", {})
        if environment not in overrides:
            known = environment_names(document)
            raise NotFound(f"the project has no environment {environment!r}", fix=nearest(environment, known))
        base = _merge({**base, "environment": environment}, overrides[environment])
        levels.append(overrides[environment])
    try:
        settings = Settings.model_validate(base)
    except ValidationError as error:
        raise _explain(error) from error
    problems = [*contradictions(settings), *unread(settings, named_keys(top, levels))]
    if problems:
        raise BackstayError(
            f"{FILE_NAME}: {'; '.join(what for what, _ in problems)}", fix="; ".join(fix for _, fix in problems)
        )
    return settings


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _explain(error: ValidationError) -> BackstayError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent, name = first["loc"][:-1], str(first["loc"][-1])
        return BackstayError(
            f"{FILE_NAME}: unknown key {where!r}", fix=nearest(name, _known_keys(tuple(str(p) for p in parent)))
        )
    return BackstayError(
        f"{FILE_NAME}: {where or 'the file'}: {first['msg'].lower()} (it says {first['input']!r})",
        fix="see docs/settings.md for what it may be",
    )


def _known_keys(parents: tuple[str, ...]) -> Iterator[str]:
    section: type[BaseModel] = Settings
    for part in parents:
        if part.isdigit():
            section = Rule
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return iter(section.model_fields)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the project file, for editors."""
    return Settings.model_json_schema()
