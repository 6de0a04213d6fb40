"""The verbs that look after a project: state, evidence, keys, signatures, settings, backups, erasure; and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import (
    HERE,
    MORE,
    EnvironmentOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    answer,
    opened,
)
from backstay.kernel.errors import BackstayError


def register(app: typer.Typer) -> None:
    """Add these verbs to the command line."""
    for verb, example in (
        (status, "backstay status --json"),
        (verify, "backstay verify --head head.json"),
        (sign, "backstay sign --new-key"),
        (key, "backstay key create app --scope predict --scope feedback"),
        (settings, "backstay settings --json"),
        (upgrade, "backstay upgrade --dry-run"),
        (backup, "backstay backup ../backstay-2026-03-01"),
        (restore, "backstay restore ../backstay-2026-03-01"),
        (gc, "backstay gc --dry-run"),
        (forget, "backstay forget --id order-1041 --reason 'asked by the customer'"),
        (demo, "backstay demo --output demo-output"),
    ):
        app.command(rich_help_panel=MORE, epilog=f"Example: {example}")(verb)


def status(
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """What is live, when it was last watched, what waits."""
    from backstay.cli import show

    answer(opened(project, model, environment).status(), as_json, show.status)
    return 0


def verify(
    head: Annotated[Path | None, typer.Option(help="A head exported earlier: catches truncation as well.")] = None,
    export_head: Annotated[Path | None, typer.Option(help="Write the present head; keep it in another place.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Check the hash chain of the ledger and every bundle and data file that a release names."""
    from backstay.cli import show

    verified = opened(project, None, None).verify(head=head, export_head=export_head)
    answer(verified, as_json, show.verified)
    return 0 if verified.sound else 3


def key(
    action: Annotated[str, typer.Argument(help="create, list or revoke.")],
    name: Annotated[str | None, typer.Argument(help="Who will use it.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="predict, feedback, read, search or admin.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Keys of the server. A secret is shown once and stored as a hash."""
    from backstay.cli import show

    keys = opened(project, None, None).keys
    if action == "list":
        answer(keys.list(), as_json, show.keys)
        return 0
    if action not in ("create", "revoke") or not name:
        raise BackstayError(
            f"`backstay key {action}{' ' + name if name else ''}` is not complete",
            fix="say `key create NAME`, `key revoke NAME` or `key list`",
        )
    if action == "revoke":
        answer(keys.revoke(name), as_json, show.keys)
    else:
        answer(keys.create(name, scopes=scope or ("predict", "feedback"), days=days), as_json, show.created_key)
    return 0


def settings(
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of backstay.toml, for editors.")] = False,
    as_json: JsonOption = False,
) -> int:
    """The settings in force, defaults and overrides merged."""
    from backstay.cli import show
    from backstay.settings import json_schema

    if schema:
        show.as_json(json_schema())
    else:
        answer(opened(project, model, environment).settings.model_dump(mode="json"), as_json, show.as_json)
    return 0


def sign(
    model_id: Annotated[
        str | None, typer.Argument(help="Model id or its beginning; the newest candidate, else the live model.")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a pair of keys and print it once; nothing is stored.")
    ] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Stand behind a model: sign its bundle with the key in BACKSTAY_SIGNING_KEY."""
    from backstay.cli import show

    if new_key:
        from backstay.loop.sign import fresh_key

        answer(fresh_key(), as_json, show.fresh_key)
        return 0
    answer(opened(project, model, environment).releases.sign(model_id), as_json, show.signed)
    return 0


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Bring project file and store to this version. Backs up first."""
    from backstay.cli import show
    from backstay.project import upgrade as bring_up

    answer(bring_up(project, dry_run=dry_run), as_json, show.facts)
    return 0


def backup(
    target: Annotated[Path, typer.Argument(help="A new folder.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """A consistent copy of all state, while servers go on running."""
    from backstay.cli import show

    answer(opened(project, None, None).backup(target), as_json, show.facts)
    return 0


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `backstay backup` wrote.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Put a backup in place where no store is; an existing one is never overwritten."""
    from backstay.cli import show
    from backstay.project import restore as put_back

    answer(put_back(project, source), as_json, show.facts)
    return 0


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Remove files that nothing names, and rows older than log.keep_days. Never what a release or verdict names."""
    from backstay.cli import show

    answer(opened(project, None, None).gc(dry_run=dry_run), as_json, show.facts)
    return 0


def forget(
    row_id: Annotated[list[str] | None, typer.Option("--id", help="Prediction ids.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="Groups: all rows of a customer, a patient, a device.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Erase a subject's rows from journal, labels and references; names the models that were trained on them."""
    from backstay.cli import show

    forgotten = opened(project, model, environment).data.forget(ids=row_id or [], groups=group or [], reason=reason)
    answer(forgotten, as_json, show.forgotten)
    return 0


def demo(
    output: Annotated[Path, typer.Option(help="Where the project, the pages and the report go.")] = Path("demo-output"),
    seed: Annotated[int, typer.Option(help="Deals the scans and draws the traffic.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """A live model is adopted, decays, is caught, replaced through the gate and rolled back. No network, 90 seconds."""
    from backstay.demo.story import tell

    return tell(output, seed=seed, as_json=as_json)
