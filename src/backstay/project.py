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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstay.kernel.clock import Clock, clock_from_environment
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.ports import NoProgress, Progress
from backstay.settings import FILE_NAME, Settings, environment_names, find, model_names, parse, read
from backstay.verbs.data import DataVerbs
from backstay.verbs.keys import KeyVerbs
from backstay.verbs.labels import LabelVerbs
from backstay.verbs.models import ModelVerbs, file_or_object
from backstay.verbs.monitor import MonitorVerbs
from backstay.verbs.releases import ReleaseVerbs

if TYPE_CHECKING:
    from backstay.kernel.records import Json
    from backstay.loop.adopt import Adopted
    from backstay.loop.look import Status, Verified
    from backstay.loop.record import Logged
    from backstay.loop.setup import Begun
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
class Opened:
    """A model in an environment, or why it cannot be opened: one of the two is None."""

    model: str
    environment: str
    project: Project | None = None
    error: BackstayError | None = None


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
    def open_live(cls, path: Path | str = ".", **options: Any) -> tuple[Project, ...]:
        """Every model of the project, in every environment of its file, that has a release; in the file's order.

        Args:
            options: actor, clock and progress, as of `open`.

        Raises:
            NotFound: none has been released yet.
        """
        found = cls.open_each(path, **options)
        for one in found:
            if one.error is not None:
                raise one.error
        return tuple(one.project for one in found if one.project is not None)

    @classmethod
    def open_each(cls, path: Path | str = ".", *, before: Sequence[Project] = (), **options: Any) -> tuple[Opened, ...]:
        """As `open_live`, with the reason in the place of a model that cannot be opened: it keeps no other from it.

        Args:
            before: opened earlier; one whose settings are as they were is not opened again.
            options: actor, clock and progress, as of `open`.

        Raises:
            NotFound: there is no project file, or no model has been released yet.
            BackstayError: the project file is not valid TOML.
        """
        file = Path(path) if Path(path).is_file() else find(Path(path))
        document = read(file)
        known = {(one.ws.name, one.ws.environment): one for one in before}
        found: list[Opened] = []
        for environment in environment_names(document):
            for model in model_names(document):
                try:
                    settings = parse(document, model=model, environment=environment)
                    one = known.get((model, environment))
                    if one is None or one.settings != settings:
                        one = cls._wire(file, settings, **options)
                    if one.ws.catalog.champion(model, environment) is not None:
                        found.append(Opened(model, environment, one))
                except BackstayError as error:
                    found.append(Opened(model, environment, error=error))
        if not found:
            raise NotFound(
                f"no model of {file} has a release yet",
                fix="adopt one with `backstay adopt`, or `backstay run` and then `backstay promote`",
            )
        return tuple(found)

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
    task: str | None = None,
) -> Begun:
    """Look at data and write a commented backstay.toml beside it.

    Args:
        source: csv, parquet, arrow, JSON lines, npz, or a folder of images per class.
        task: "classification", "regression" or "multilabel"; None takes a target of many different fractions for a
            regression, one of lists for sets of labels.
    """
    from backstay.loop.setup import begin

    return begin(
        Path(source), target=target, time=time, group=group, name=name, folder=Path(folder), force=force, task=task
    )


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
    features: Sequence[str] = (),
    clock: Clock | None = None,
    actor: str | None = None,
    progress: Progress | None = None,
    **columns: Any,
) -> Adopted:
    """Take over a live model: writes backstay.toml where there is none, and releases the model as unmeasured.

    Args:
        model: an ONNX file, a fitted scikit-learn estimator or pipeline, or a `torch.nn.Module`; None with
            `predictions_only`. An object is made into ONNX here, and compared with itself on the reference rows and on
            1,000 and more made up around them.
        reference: rows on which it is known to be well, with their true labels.
        which: the model's name in a project file of several, [models.NAME]; environment: likewise.
        example: a tensor that a torch module takes, rows first.
        outputs: what each of its outputs is, in their order ("scores", "logits", "embedding", "value"); inferred when
            left out.
        classes: the classes in the order of its scores, of a torch module or of an ONNX file that does not name them;
            sorted when left out, and refused where the reference rows show that they cannot be.
        features: the columns that it reads, in its order, where it names none itself and the rows have more.
        columns: row_id, time, group, prediction, score, positive, slices, name.
    """
    from backstay.loop.adopt import adopt as take_over
    from backstay.loop.hints import Hints
    from backstay.loop.setup import nothing_left_of_failure, project_for_adoption, refuse_other_columns

    if reference is None or target is None:
        missing = "--reference" if reference is None else "--target"
        raise BackstayError(
            f"adopting needs {missing}", fix="name rows with true labels, and the column that holds them"
        )
    read_by_it = tuple(features)
    with nothing_left_of_failure(Path(folder)):
        file = project_for_adoption(
            Path(folder),
            Path(reference),
            target,
            predictions_only=predictions_only,
            model=model,
            features=read_by_it,
            **columns,
        )
        settings = parse(read(file), model=which, environment=environment)
        refuse_other_columns(settings, target=target, predictions_only=predictions_only, features=read_by_it, **columns)
        project = Project._wire(file, settings, clock=clock, actor=actor, progress=progress)
        hints = Hints.of(example, outputs, classes)
        return take_over(project.ws, file_or_object(model), reference=Path(reference), hints=hints)


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
