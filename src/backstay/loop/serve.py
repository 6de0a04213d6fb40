"""Wire the server: where the live pointer is read, who may ask, where predictions are logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from backstay.kernel.errors import BackstayError
from backstay.loop.gallery import files
from backstay.loop.keys import active
from backstay.loop.log_policy import refuse_blind_release
from backstay.loop.lookup import newest_window
from backstay.loop.sign import trust
from backstay.loop.workspace import Workspace
from backstay.serve.live import LiveRelease
from backstay.serve.server import run_server

T = TypeVar("T")


def serve(
    ws: Workspace,
    *,
    host: str | None,
    port: int | None,
    require_key: bool,
    announce: Callable[[str], None],
) -> None:
    """Answer with whatever release is live, until told to stop."""
    changes = {"host": host, "port": port, "require_key": None if require_key else False}
    wanted = ws.settings.serve.model_copy(update={k: v for k, v in changes.items() if v is not None})
    settings = ws.settings.model_copy(update={"serve": wanted})
    refuse_blind_release(ws, ws.model_record(ws.champion().model_id))
    if wanted.require_key and not active(ws):
        raise BackstayError(
            "there is no key yet, and the server asks for one",
            fix="make one with `backstay key create NAME`, or serve on loopback with --no-key",
        )
    with ws.catalog.revisions() as revision:
        run_server(
            settings,
            pointer=unless_same(revision, lambda: pointer(ws)),
            keys=unless_same(revision, lambda: active(ws)),
            trust=trust(ws),
            watched=lambda: newest_window(ws),
            galleries=lambda: files(ws),
            journal_directory=ws.state / "journal",
            clock=ws.clock,
            announce=announce,
        )


def unless_same(revision: Callable[[], object], read: Callable[[], T]) -> Callable[[], T]:
    """`read`, but what it answered is answered again while the revision is the same. A reading that failed is not kept.

    Args:
        read: depends on nothing but what the revision is of, so not on the time.
    """
    kept: tuple[object, T] | None = None

    def answer() -> T:
        nonlocal kept
        # Asked first: what is committed while it is read makes the next revision another one.
        now = revision()
        if kept is None or kept[0] != now:
            kept = now, read()
        return kept[1]

    return answer


def pointer(ws: Workspace) -> LiveRelease | None:
    """The live release and where its bundle is."""
    release = ws.catalog.champion(ws.name, ws.environment)
    if release is None:
        return None
    record = ws.model_record(release.model_id)
    bundle = None if record.bundle is None else ws.bundles / record.bundle
    return LiveRelease(release=release, bundle_path=bundle, classes=record.classes)
