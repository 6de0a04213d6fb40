"""Any loss, and any miner, of the library pytorch-metric-learning by its name.

**Pulls together:** what the library's page of that loss says; as a rule rows of one class, or a row and what stands
for its class; with `two_views` the two augmented copies of a row.
**Pushes apart:** what that page says; as a rule rows of other classes; with `two_views` copies of other rows.
**Formula:** that of the loss which is named:

    [train]
    objective = "metric"
    objective_options = { loss = "TripletMarginLoss", margin = 0.1, miner = "BatchHardMiner" }

Options of the loss are given by their names in the library, options of a miner, distance, reducer or regularizer after
its kind (`miner_`, `distance_`, ...); numbers of classes and of dimensions are filled in. Parameters of a loss
(proxies, class centres) are trained beside the encoder and thrown away. With `memory` the rows of a batch are compared
with so many rows of batches before it too, whose embeddings are as they were then (CrossBatchMemory). With `two_views`
a loss is asked of two augmented copies of each row, without labels (SelfSupervisedLoss). Batches are balanced where
labels are read.
**Prefer it:** for a loss that this shelf has not.
**Wrong:** where this shelf has the loss: ours take row weights and cost less. Here rows of weight 0 are left out and
other weights do not count. `VICRegLoss` and `ManifoldLoss` read no labels, and go with no miner and no memory; several
losses at once are not offered.
**Cost:** the loss's own. Measured for 256 rows of 32 classes, in ms of CPU time beside the encoder's: SupConLoss 5.0
(`supcon`: 2.8), TripletMarginLoss with its semi-hard miner 41.7 (`triplet` with `semi_hard_all`: 12.6;
docs/benchmarks.md). Needs `pip install 'backstay[metric]'`.
**Source:** Musgrave, Belongie & Lim 2020, arXiv 2008.09164.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from backstay.kernel.errors import BackstayError, nearest
from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options, Value

_FILLED = {"num_classes": "classes", "embedding_size": "dimension", "l": "dimension"}
# Bases and wrappers: what a wrapper does is an option here (`memory`, `two_views`), and several losses are not offered.
_NOT_LOSSES = frozenset(
    {
        "BaseLossWrapper",
        "BaseMetricLossFunction",
        "CrossBatchMemory",
        "EmbeddingRegularizerMixin",
        "GenericPairLoss",
        "MultipleLosses",
        "SelfSupervisedLoss",
        "WeightRegularizerMixin",
    }
)
_NOT_MINERS = frozenset({"BaseMiner", "EmbeddingsAlreadyPackagedAsTriplets"})
# Parts of a loss that have names of their own: the option, the library's module, and what in it cannot be named.
_PARTS = {
    "distance": ("distances", frozenset({"BaseDistance", "BatchedDistance"})),
    "reducer": ("reducers", frozenset({"BaseReducer", "MultipleReducers", "DoNothingReducer"})),
    "embedding_regularizer": ("regularizers", frozenset({"BaseRegularizer"})),
    "weight_regularizer": ("regularizers", frozenset({"BaseRegularizer"})),
}
_OF_TWO_VIEWS, _WITHOUT_LABELS = "VICRegLoss", ("VICRegLoss", "ManifoldLoss")


class Metric(EmbeddingObjective):
    """A loss of the library over what its miner, if there is one, finds in the batch."""

    sampler: ClassVar[str] = "balanced"

    def __init__(self, loss: nn.Module, miner: nn.Module | None) -> None:
        super().__init__()
        self.inner = loss
        self.miner = miner

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        counts = (weights > 0) & (labels >= 0)
        z, codes = embeddings[0][counts], labels[counts]
        if not self.teaches(codes):
            return embeddings[0].sum() * 0.0
        return self.judged(z, codes)

    def teaches(self, codes: Tensor) -> bool:
        """Whether anything can be learned from a batch of these classes alone."""
        return len(codes) > 1 and not bool((codes == codes[0]).all())

    def judged(self, z: Tensor, codes: Tensor) -> Tensor:
        found = None if self.miner is None else self.miner(z, codes)
        loss: Tensor = self.inner(z, codes, found)
        return loss


class Remembering(Metric):
    """A loss over the batch and the rows of the batches before it, whose embeddings are as they were then."""

    def __init__(self, memory: nn.Module) -> None:
        super().__init__(memory, None)
        # The library keeps these as numbers of Python's, which a checkpoint would not hold.
        self.register_buffer("place", torch.zeros(2, dtype=torch.int64))
        self.place: Tensor

    def teaches(self, codes: Tensor) -> bool:
        return len(codes) > 1

    def judged(self, z: Tensor, codes: Tensor) -> Tensor:
        inner = cast(Any, self.inner)
        if len(codes) > inner.memory_size:
            raise BackstayError(
                f"a batch of {len(codes)} rows and a memory of {inner.memory_size}",
                fix="put train.objective_options.memory at train.batch_size or more",
            )
        inner.queue_idx, inner.has_been_filled = int(self.place[0]), bool(self.place[1])
        loss: Tensor = inner(z, codes)
        self.place.copy_(torch.tensor([inner.queue_idx, int(inner.has_been_filled)]))
        return loss


class Unlabelled(EmbeddingObjective):
    """A loss of the library that reads no labels, of one view of the rows."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.inner = loss

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        views = [z[weights > 0] for z in embeddings]
        fewest = max(int(getattr(self.inner, "K", 0)), 2)  # `ManifoldLoss` deals the rows to K proxies
        if len(views[0]) < fewest:
            return embeddings[0].sum() * 0.0
        loss: Tensor = self.inner(views[0], ref_emb=views[1]) if len(views) > 1 else self.inner(views[0])
        return loss


class TwoViews(Unlabelled):
    """The same of two augmented copies."""

    views: ClassVar[int] = 2


def library(module: str) -> ModuleType:
    """One of its modules. Raises BackstayError where the library is not installed."""
    try:
        import pytorch_metric_learning as found

        return import_module(f"{found.__name__}.{module}")
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"the objective metric needs {error.name}, which is not installed",
            fix="install it with `pip install 'backstay[metric]'`",
        ) from error


def offered(module: str, left_out: frozenset[str]) -> dict[str, type[nn.Module]]:
    """The classes of a module of the library that can be named, by name."""
    return {
        name: found
        for name, found in vars(library(module)).items()
        if isinstance(found, type) and issubclass(found, nn.Module) and name not in left_out
    }


def losses_offered() -> dict[str, type[nn.Module]]:
    return offered("losses", _NOT_LOSSES)


def miners_offered() -> dict[str, type[nn.Module]]:
    return offered("miners", _NOT_MINERS)


def parts_offered() -> dict[str, dict[str, type[nn.Module]]]:
    """What can be named as each part of a loss."""
    return {part: offered(*where) for part, where in _PARTS.items()}


def build(options: Options, problem: Problem) -> EmbeddingObjective:
    """Options: `loss` (required), `miner`, `distance`, `reducer`, `embedding_regularizer`, `weight_regularizer` (the
    library's own), those of the loss, those of the others after their names, `memory` (0) and `two_views` (false).
    """
    losses, miners = losses_offered(), miners_offered()
    name = options.choice("loss", "", losses)
    miner = options.choice("miner", "", ("", *miners))
    memory = options.whole("memory", 0, low=0)
    two_views = options.flag("two_views", name == _OF_TWO_VIEWS)
    kinds = parts_offered()
    named = {part: options.choice(part, "", ("", *kinds[part])) for part in _PARTS}
    own = options.rest()
    mined = _after("miner", own, miner)
    parts: dict[str, Any] = {}
    for part, chosen in named.items():
        given = _after(part, own, chosen)
        if chosen:
            parts[part] = _made(kinds[part][chosen], given, problem, f"{part}_")
    loss = _made(losses[name], {**own, **parts}, problem, "")
    hunter = _made(miners[miner], mined, problem, "miner_") if miner else None
    _refuse_together(name, miner, memory, two_views)
    if name in _WITHOUT_LABELS:
        return TwoViews(loss) if two_views else Unlabelled(loss)
    if two_views:
        return TwoViews(_wrapped("SelfSupervisedLoss", name, loss=loss))
    if memory:
        size = problem.dimension
        return Remembering(
            _wrapped("CrossBatchMemory", name, loss=loss, embedding_size=size, memory_size=memory, miner=hunter)
        )
    return Metric(loss, hunter)


def _after(part: str, own: dict[str, Value], chosen: str) -> dict[str, Value]:
    """Options of a part, taken out of the loss's own.

    Raises BackstayError where there are some and no such part is named.
    """
    mine = {key: own.pop(key) for key in list(own) if key.startswith(f"{part}_")}
    if mine and not chosen:
        raise BackstayError(
            f"there are options for a {part} and none is named",
            fix=f'set {part} = "..." beside loss, or leave them out',
        )
    return {key.removeprefix(f"{part}_"): value for key, value in mine.items()}


def _refuse_together(name: str, miner: str, memory: int, two_views: bool) -> None:
    """Raises BackstayError for options that cannot both be had."""
    if name in _WITHOUT_LABELS and (miner or memory or two_views != (name == _OF_TWO_VIEWS)):
        raise BackstayError(
            f"{name} reads no labels and takes {'two views' if name == _OF_TWO_VIEWS else 'one view'} of each row",
            fix="leave out miner, memory and two_views",
        )
    if two_views and (miner or memory):
        raise BackstayError(
            f"two views of each row, and {'a miner' if miner else 'a memory'}, which reads labels",
            fix="leave out train.objective_options.two_views, or the other",
        )


def _wrapped(wrapper: str, name: str, **given: Any) -> nn.Module:
    """The library's wrapper around a loss that it supports."""
    kind: Any = getattr(library("losses"), wrapper)
    if name not in kind.supported_losses():
        raise BackstayError(
            f"the library's {wrapper} does not take {name}", fix=f"take one of {', '.join(kind.supported_losses())}"
        )
    made: nn.Module = kind(**given)
    return made


def _made(kind: type[nn.Module], given: dict[str, Any], problem: Problem, prefix: str) -> nn.Module:
    """The library's object, its arguments checked by its signature before it sees them."""
    known = _arguments(kind)
    for name in given:
        if name not in known:
            raise BackstayError(f"{kind.__name__} has no option {prefix + name!r}", fix=nearest(name, known))
    values: dict[str, Any] = {name: getattr(problem, what) for name, what in _FILLED.items() if name in known} | given
    missing = [name for name, required in known.items() if required and name not in values]
    if missing:
        raise BackstayError(
            f"{kind.__name__} needs the option {prefix + missing[0]!r}", fix="give it in train.objective_options"
        )
    try:
        return kind(**values)
    except (TypeError, ValueError, AttributeError, AssertionError) as error:
        raise BackstayError(
            f"{kind.__name__} refuses its options: {error}", fix="see its page in the library's documentation"
        ) from error


def _arguments(kind: type[nn.Module]) -> dict[str, bool]:
    """Names of the arguments, the parents' included where a class hands them on, and whether each is required."""
    found: dict[str, bool] = {}
    first = True
    for parent in kind.__mro__:
        if parent is nn.Module or "__init__" not in vars(parent):
            continue
        parameters = list(inspect.signature(vars(parent)["__init__"]).parameters.values())[1:]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for parameter in named:
            # What a parent requires, its child has filled in.
            found.setdefault(parameter.name, first and parameter.default is parameter.empty)
        first = False
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found
