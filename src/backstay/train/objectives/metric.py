"""Any loss, and any miner, of the library pytorch-metric-learning by its name.

    [train]
    objective = "metric"
    objective_options = { loss = "TripletMarginLoss", margin = 0.1, miner = "BatchHardMiner" }

What is pulled and pushed is what the library's page of that loss says. Options of the loss are given by their names
there, options of the miner with `miner_` before them; numbers of classes and of dimensions are filled in. Parameters of
a loss (proxies, class centres) are trained beside the encoder and thrown away. Batches are balanced. Prefer our own
objectives where there is one: they take row weights, and are faster (no triplets as lists). Here rows of weight 0 are
left out and other weights do not count. Losses that wrap other losses, or compare two views, are not offered. Cost: the
loss's own. Needs `pip install 'backstay[metric]'`. Source: Musgrave, Belongie & Lim 2020, arXiv 2008.09164.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, ClassVar

from torch import Tensor, nn

from backstay.kernel.errors import BackstayError, nearest
from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options, Value

_FILLED = ("num_classes", "embedding_size")
# They wrap another loss, or want two aligned views or no labels, which a name in the settings cannot say.
_NOT_LOSSES = frozenset(
    {
        "BaseLossWrapper",
        "BaseMetricLossFunction",
        "CrossBatchMemory",
        "EmbeddingRegularizerMixin",
        "GenericPairLoss",
        "ManifoldLoss",
        "MultipleLosses",
        "SelfSupervisedLoss",
        "ThresholdConsistentMarginLoss",
        "VICRegLoss",
        "WeightRegularizerMixin",
    }
)
_NOT_MINERS = frozenset({"BaseMiner", "EmbeddingsAlreadyPackagedAsTriplets"})


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
        if len(codes) < 2 or bool((codes == codes[0]).all()):
            return embeddings[0].sum() * 0.0
        found = None if self.miner is None else self.miner(z, codes)
        loss: Tensor = self.inner(z, codes, found)
        return loss


def library() -> tuple[ModuleType, ModuleType]:
    """Its losses and its miners. Raises BackstayError where it is not installed."""
    try:
        from pytorch_metric_learning import losses, miners
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"the objective metric needs {error.name}, which is not installed",
            fix="install it with `pip install 'backstay[metric]'`",
        ) from error
    return losses, miners


def offered(module: ModuleType, left_out: frozenset[str]) -> dict[str, type[nn.Module]]:
    """The library's classes that can be named, by name."""
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, nn.Module) and name not in left_out
    }


def losses_offered() -> dict[str, type[nn.Module]]:
    return offered(library()[0], _NOT_LOSSES)


def miners_offered() -> dict[str, type[nn.Module]]:
    return offered(library()[1], _NOT_MINERS)


def build(options: Options, problem: Problem) -> Metric:
    """Options: `loss` (required), `miner` (none), those of the loss, and those of the miner after `miner_`."""
    losses, miners = losses_offered(), miners_offered()
    loss = options.choice("loss", "", losses)
    miner = options.choice("miner", "", ("", *miners))
    rest = options.rest()
    own = {name: value for name, value in rest.items() if not name.startswith("miner_")}
    mined = {name.removeprefix("miner_"): value for name, value in rest.items() if name.startswith("miner_")}
    if mined and not miner:
        raise BackstayError("there are options for a miner and none is named", fix='set miner = "..." beside loss')
    return Metric(
        _made(losses[loss], own, problem, ""), _made(miners[miner], mined, problem, "miner_") if miner else None
    )


def _made(kind: type[nn.Module], given: dict[str, Value], problem: Problem, prefix: str) -> nn.Module:
    """The library's object, its arguments checked by its signature before it sees them."""
    known = _arguments(kind)
    for name in given:
        if name not in known:
            raise BackstayError(f"{kind.__name__} has no option {prefix + name!r}", fix=nearest(name, known))
    filled = {"num_classes": problem.classes, "embedding_size": problem.dimension}
    values: dict[str, Any] = {name: filled[name] for name in _FILLED if name in known} | given
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
