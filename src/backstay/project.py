"""The Python API and the place where everything is wired: one project, its models, releases, monitor, labels, data.

Every verb of the command line is a method here:

    project = backstay.open("churn")
    project.models.run()
    project.releases.promote(reason="better on new customers")
    project.monitor.watch()
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.kernel.clock import Clock, clock_from_environment
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.settings import FILE_NAME, Settings, find, parse, read

if TYPE_CHECKING:
    from backstay.kernel.momentum import Momentum
    from backstay.kernel.records import Json, Release
    from backstay.loop.adopt import Adopted
    from backstay.loop.audit import Audited
    from backstay.loop.forget import Forgotten
    from backstay.loop.gating import Offered
    from backstay.loop.keys import CreatedKey, ListedKey
    from backstay.loop.label import Labelled, Queue
    from backstay.loop.look import History, Status, Verified
    from backstay.loop.predict import Predicted
    from backstay.loop.record import Logged
    from backstay.loop.report import Reported
    from backstay.loop.setup import Begun
    from backstay.loop.sign import Signed
    from backstay.loop.watch import Watched
    from backstay.loop.workspace import Workspace
    from backstay.store.sql import Store

ACTOR_VARIABLE = "BACKSTAY_ACTOR"


def actor_name() -> str:
    """Who acts: BACKSTAY_ACTOR, or the login name of this process's owner."""
    named = os.environ.get(ACTOR_VARIABLE)
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Project:
    """One model of one project in one environment.

    Args:
        ws: settings, state and adapters; made by `Project.open`.
    """

    ws: Workspace
    store: Store

    @classmethod
    def open(
        cls,
        path: Path | str = ".",
        *,
        model: str | None = None,
        environment: str | None = None,
        actor: str | None = None,
        clock: Clock | None = None,
        progress: Progress | None = None,
    ) -> Project:
        """Open the project whose backstay.toml is in this folder or above it.

        Raises:
            NotFound: no project file, or no such model or environment in it.
            BackstayError: the file has an unknown key or a value out of range.
            StoreTooNew: a newer Backstay wrote the store.
        """
        file = Path(path) if Path(path).is_file() else find(Path(path))
        settings = parse(read(file), model=model, environment=environment)
        return cls._wire(file, settings, actor=actor, clock=clock, progress=progress)

    @classmethod
    def _wire(
        cls,
        file: Path,
        settings: Settings,
        *,
        actor: str | None = None,
        clock: Clock | None = None,
        progress: Progress | None = None,
        create: bool = True,
    ) -> Project:
        from backstay.loop.workspace import Workspace
        from backstay.store.sql import open_store

        root = file.resolve().parent
        state = root / settings.store.path
        time = clock or clock_from_environment()
        store = open_store(state, time, create=create)
        ws = Workspace(
            root=root,
            file=file.resolve(),
            state=state,
            settings=settings,
            catalog=store,
            ledger=store,
            blobs=store.blobs,
            clock=time,
            progress=progress or NoProgress(),
            actor=actor or actor_name(),
        )
        return cls(ws, store)

    @property
    def settings(self) -> Settings:
        return self.ws.settings

    @property
    def data(self) -> DataVerbs:
        return DataVerbs(self.ws)

    @property
    def models(self) -> ModelVerbs:
        return ModelVerbs(self.ws)

    @property
    def releases(self) -> ReleaseVerbs:
        return ReleaseVerbs(self.ws)

    @property
    def monitor(self) -> MonitorVerbs:
        return MonitorVerbs(self.ws)

    @property
    def labels(self) -> LabelVerbs:
        return LabelVerbs(self.ws)

    @property
    def keys(self) -> KeyVerbs:
        return KeyVerbs(self.ws)

    def status(self) -> Status:
        """What is live, when it was last watched, what waits."""
        from backstay.loop.look import status

        return status(self.ws)

    def verify(self, *, head: Path | None = None, export_head: Path | None = None) -> Verified:
        """Check the ledger's chain, and every bundle and data file that a release names."""
        from backstay.loop.look import verify

        return verify(self.ws, head=head, export_head=export_head)

    def backup(self, target: Path) -> Json:
        """A consistent copy of all state in a new folder."""
        from backstay.store.backup import backup

        backup(self.ws.state, Path(target))
        return {"backup": str(target), "of": str(self.ws.state)}

    def gc(self, *, dry_run: bool = False) -> Json:
        """Remove files that nothing names."""
        from backstay.loop.collect import collect

        return collect(self.ws, dry_run=dry_run)


@dataclass(frozen=True)
class DataVerbs:
    """Rows before they become a model."""

    ws: Workspace

    def audit(self) -> Audited:
        """Look at the project's data for what spoils a model: leaks, duplicates, wrong labels."""
        from backstay.loop.audit import audit

        return audit(self.ws)

    def forget(self, *, ids: Sequence[str] = (), groups: Sequence[str] = (), reason: str) -> Forgotten:
        """Erase rows by prediction id or group; answers what was erased and which models were trained on them."""
        from backstay.loop.forget import forget

        return forget(self.ws, ids=ids, groups=groups, reason=reason)


@dataclass(frozen=True)
class ModelVerbs:
    """Making models and offering them to the gate."""

    ws: Workspace

    def run(self) -> Offered:
        """Data, audit, train, evaluate, gate. Never promotes."""
        from backstay.loop.run import run

        return run(self.ws)

    def offer(
        self,
        model: Any,
        *,
        trained_on: Path | None = None,
        example: Any = None,
        outputs: Sequence[str] = (),
        classes: Sequence[str] = (),
    ) -> Offered:
        """Offer a successor that was made elsewhere: an ONNX file, a fitted scikit-learn model, or a torch module.

        Args:
            trained_on: the rows that it has learned from, to look for leaks.
            example, outputs, classes: of a torch module: see `backstay.adopt`.
        """
        from backstay.loop.adopt import Hints, offer_model

        if model is None:
            raise BackstayError("no model file was named", fix="give the successor's ONNX file")
        hints = Hints(example, tuple(outputs), tuple(classes))
        return offer_model(self.ws, _file_or_object(model), trained_on=trained_on, hints=hints)

    def retrain(self, *, rows: Path | None = None) -> Offered:
        """Train a challenger on old rows and new labels and ask the gate. Never promotes."""
        from backstay.loop.retrain import retrain

        return retrain(self.ws, extra=rows)

    def predict(self, source: Any, *, output: Path | None = None, record: bool = False) -> Predicted:
        """Answer rows with the champion. `source`: a file, or a frame (Arrow, polars, pandas)."""
        from backstay.loop.predict import predict

        return predict(self.ws, source, output=output, record=record)


@dataclass(frozen=True)
class ReleaseVerbs:
    """What is live."""

    ws: Workspace

    def sign(self, model_id: str | None = None) -> Signed:
        """Sign a model's bundle with the key of the environment (BACKSTAY_SIGNING_KEY)."""
        from backstay.loop.sign import sign

        return sign(self.ws, model_id)

    def promote(self, candidate: str | None = None, *, reason: str = "") -> Release:
        """Make a candidate live. Raises Refused until a current verdict on it has passed."""
        from backstay.loop.promote import promote

        return promote(self.ws, candidate, reason=reason)

    def rollback(self, to: str | None = None, *, reason: str) -> Release:
        """Go back to a former release. Needs a reason, never a verdict."""
        from backstay.loop.promote import roll_back

        return roll_back(self.ws, to, reason=reason)

    def champion(self) -> Release:
        """The live release. Raises NotFound when there is none."""
        return self.ws.champion()

    def history(self) -> History:
        """Releases and refusals, oldest first."""
        from backstay.loop.look import history

        return history(self.ws)

    def trend(self, *, horizon_days: float = 365.0, page: Path | None = None) -> Momentum:
        """Where quality is going: decay of each release and when it meets its threshold, and how alarms were answered.

        Args:
            horizon_days: how far ahead a threshold is looked for.
            page: where to write the HTML page.
        """
        from backstay.loop.trend import trend

        return trend(self.ws, horizon_days=horizon_days, page=page)

    def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        require_key: bool = True,
        announce: Callable[[str], None] = print,
    ) -> None:
        """Answer requests until told to stop."""
        from backstay.loop.serve import serve

        serve(self.ws, host=host, port=port, require_key=require_key, announce=announce)


@dataclass(frozen=True)
class MonitorVerbs:
    """Watching what is live."""

    ws: Workspace

    def log(self, source: Any) -> Logged:
        """Log predictions made elsewhere. `source`: a file, or a frame (Arrow, polars, pandas)."""
        from backstay.loop.record import log

        return log(self.ws, source)

    def watch(self, *, close_now: bool = False, act: bool = False, page: Path | None = None) -> Watched:
        """Judge every window that has closed since the last look.

        Args:
            close_now: also judge the window that is still filling, if it has rows enough.
            act: retrain when the arithmetic says so; promote only where `retrain.auto_promote` allows it.
        """
        from backstay.loop.watch import watch

        return watch(self.ws, close_now=close_now, act=act, page=page)

    def keep_watching(
        self,
        *,
        every_seconds: float,
        tell: Callable[[Watched], None],
        complain: Callable[[BackstayError], None],
        act: bool = False,
        page: Path | None = None,
    ) -> None:
        """Watch again and again until interrupted; a look that fails is told and the next one tried."""
        from backstay.loop.agent import run_agent

        run_agent(self.ws, every_seconds=every_seconds, tell=tell, complain=complain, act=act, page=page)

    def examine(self, source: Any) -> Watched:
        """Judge these rows as if they were a window; nothing is recorded."""
        from backstay.loop.watch import examine

        return examine(self.ws, source)

    def backfill(self, source: Path | str) -> Watched:
        """Judge a past that was never logged, window by window: Parquet, streamed; what was judged stays judged."""
        from backstay.loop.backfill import backfill

        return backfill(self.ws, Path(source))

    def report(self, *, page: Path | None = None) -> Reported:
        """The whole story on one page."""
        from backstay.loop.report import report

        return report(self.ws, page=page)


@dataclass(frozen=True)
class LabelVerbs:
    """What people say about single predictions."""

    ws: Workspace

    def queue(self, *, export: Path | None = None) -> Queue:
        """The rows that wait for a label."""
        from backstay.loop.label import queue

        return queue(self.ws, export=export)

    def request(self, n: int, *, purpose: str = "estimate") -> Queue:
        """Draw rows of the live release for review, uniformly; the probability is logged with each."""
        from backstay.loop.label import request

        return request(self.ws, n, purpose=purpose)

    def answer(self, rows: Any, *, source: str = "review") -> Labelled:
        """Hand in labels: a file or frame with columns id and label (and at). `source` names who says so."""
        from backstay.loop.label import answer

        return answer(self.ws, rows, source=source)


@dataclass(frozen=True)
class KeyVerbs:
    """Keys of the server."""

    ws: Workspace

    def create(
        self, name: str, *, scopes: Sequence[str] = ("predict", "feedback"), days: float | None = None
    ) -> CreatedKey:
        """A new key; its secret is shown this once."""
        from backstay.loop.keys import create

        return create(self.ws, name, scopes=scopes, days=days)

    def revoke(self, name: str) -> list[ListedKey]:
        """Make a key worthless at once; answers every key."""
        from backstay.loop.keys import revoke

        return revoke(self.ws, name)

    # Behind the others: in what follows, `list` is this method.
    def list(self) -> list[ListedKey]:
        """Every key, without its secret."""
        from backstay.loop.keys import listed

        return listed(self.ws)


def open(path: Path | str = ".", **options: Any) -> Project:  # noqa: A001 - backstay.open reads as it should
    """Open a project: see `Project.open`."""
    return Project.open(path, **options)


def init(
    source: Path | str,
    *,
    target: str | None,
    time: str | None = None,
    group: str | None = None,
    name: str | None = None,
    folder: Path | str = ".",
    force: bool = False,
) -> Begun:
    """Look at data and write a commented backstay.toml beside it.

    Args:
        source: csv, parquet, arrow, JSON lines, npz, or a folder of images per class.
    """
    from backstay.loop.setup import begin

    return begin(Path(source), target=target, time=time, group=group, name=name, folder=Path(folder), force=force)


def _file_or_object(model: Any) -> Any:
    return Path(model) if isinstance(model, str | os.PathLike) else model


def adopt(
    model: Any,
    *,
    reference: Path | str | None,
    target: str | None,
    predictions_only: bool = False,
    folder: Path | str = ".",
    which: str | None = None,
    environment: str | None = None,
    example: Any = None,
    outputs: Sequence[str] = (),
    classes: Sequence[str] = (),
    clock: Clock | None = None,
    actor: str | None = None,
    progress: Progress | None = None,
    **columns: Any,
) -> Adopted:
    """Take over a live model: writes backstay.toml where there is none, and releases the model as unmeasured.

    Args:
        model: an ONNX file, a fitted scikit-learn classifier or pipeline, or a `torch.nn.Module`; None with
            `predictions_only`. An object is made into ONNX here, and compared with itself on the reference rows.
        reference: rows on which it is known to be well, with their true labels.
        which: the model's name in a project file of several, [models.NAME]; environment: likewise.
        example: a tensor that a torch module takes, rows first.
        outputs: what each of its outputs is, in their order ("scores", "logits", "embedding", "value"); inferred when
            left out.
        classes: the classes in the order of its scores; sorted when left out.
        columns: row_id, time, group, prediction, score, positive, slices, name.
    """
    from backstay.loop.adopt import Hints
    from backstay.loop.adopt import adopt as take_over
    from backstay.loop.setup import nothing_left_of_failure, project_for_adoption, refuse_other_columns

    if reference is None or target is None:
        missing = "--reference" if reference is None else "--target"
        raise BackstayError(
            f"adopting needs {missing}", fix="name rows with true labels, and the column that holds them"
        )
    with nothing_left_of_failure(Path(folder)):
        file = project_for_adoption(Path(folder), Path(reference), target, predictions_only=predictions_only, **columns)
        settings = parse(read(file), model=which, environment=environment)
        refuse_other_columns(settings, target=target, predictions_only=predictions_only, **columns)
        project = Project._wire(file, settings, clock=clock, actor=actor, progress=progress)
        hints = Hints(example, tuple(outputs), tuple(classes))
        return take_over(project.ws, _file_or_object(model), reference=Path(reference), hints=hints)


def log(source: Any, *, project: Path | str = ".", model: str | None = None, environment: str | None = None) -> Logged:
    """Log predictions made elsewhere: a frame (Arrow, polars, pandas), a list of dicts, or a file."""
    return Project.open(project, model=model, environment=environment).monitor.log(source)


def upgrade(path: Path | str = ".", *, dry_run: bool = False) -> Json:
    """Bring project file and store to this version of Backstay; backs up first."""
    from backstay.loop.upgrade import bring_up

    return bring_up(find(Path(path)), dry_run=dry_run)


def restore(path: Path | str, source: Path | str) -> Json:
    """Put a backup in place where no store is."""
    from backstay.store.backup import restore as put_back

    folder = Path(path)
    file = folder if folder.name == FILE_NAME else find(folder)
    state = file.parent / parse(read(file)).store.path
    put_back(Path(source), state)
    return {"restored": str(state), "from": str(source)}
