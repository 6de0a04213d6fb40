"""The world outside Backstay: the ageing scanner, the people who send forms, and what is true of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.demo.client import Client
from backstay.demo.scans import NEW, Batch, Pools, Scanner, draw, pools, sheets
from backstay.demo.stage import Stage

ROWS_A_WEEK = 400
BATCHES = 4
SWAP = {"1": "7", "7": "1"}
POINTS_A_WEEK = 0.02
TRUTH_ROWS = 4000


@dataclass
class Week:
    """One week of traffic. `truth` is known to the demo only."""

    number: int
    ids: list[str]
    predicted: list[str]
    truth: list[str]
    batch: Batch
    note: str

    @property
    def accuracy(self) -> float:
        return float(np.mean([p == t for p, t in zip(self.predicted, self.truth, strict=True)]))


@dataclass
class World:
    """Everything that Backstay is not told."""

    seed: int
    pools: Pools = field(init=False)
    rng: np.random.Generator = field(init=False)
    truth: dict[str, str] = field(default_factory=dict)
    weeks: list[Week] = field(default_factory=list)
    scanner: Scanner = NEW
    later: bool = False
    swapped: bool = False

    def __post_init__(self) -> None:
        self.pools = pools(self.seed)
        self.rng = np.random.default_rng([self.seed, 2])

    def batch(self, n: int, *, scanner: Scanner | None = None) -> Batch:
        """Rows as they come in now."""
        pool = self.pools.later if self.later else self.pools.early
        return draw(self.pools, pool, n, scanner or self.scanner, self.rng)

    def filed(self, batch: Batch) -> list[str]:
        """What the rows are to be filed as, by the form that is in force."""
        return [SWAP.get(t, t) if self.swapped else t for t in batch.truth]

    def week(self, stage: Stage, client: Client, note: str) -> Week:
        """Seven days of forms, sent to the server as they come."""
        number = len(self.weeks) + 1
        batches, ids, answers = [], [], []
        for part in range(BATCHES):
            stage.advance(timedelta(days=7 / (BATCHES + 1)))
            batch = self.batch(ROWS_A_WEEK // BATCHES)
            names = [f"form-{number:02d}-{part}-{i:03d}" for i in range(len(batch))]
            answers += client.infer(batch, names)
            batches.append(batch)
            ids += names
        stage.advance(timedelta(days=7 * number) - (stage.now - stage.begin))
        whole = joined(batches)
        truth = self.filed(whole)
        self.truth.update(zip(ids, truth, strict=True))
        week = Week(number, ids, answers, truth, whole, note)
        self.weeks.append(week)
        return week

    def rows_of(self, ids: set[str]) -> Batch:
        """Rows of earlier weeks by prediction id."""
        marked = [(week.batch, np.array([i in ids for i in week.ids])) for week in self.weeks]
        return joined([batch.take(chosen) for batch, chosen in marked if chosen.any()])

    def review(self, requests: list[str]) -> pa.Table:
        """The reviewer's answers to these requests: the demo plays the reviewer, and is right."""
        known = [i for i in requests if i in self.truth]
        return pa.table({"id": known, "label": [self.truth[i] for i in known]})


def joined(batches: list[Batch]) -> Batch:
    """Batches one after another."""
    return Batch(
        pixels=np.concatenate([b.pixels for b in batches]),
        digits=np.concatenate([b.digits for b in batches]),
        scans=np.concatenate([b.scans for b in batches]),
        offices=np.concatenate([b.offices for b in batches]),
    )


def table(batch: Batch, ids: list[str], labels: list[str] | npt.NDArray[np.str_] | None = None) -> pa.Table:
    """Rows as a table with an image column, for files that are handed to Backstay."""
    image = pa.fixed_shape_tensor(pa.uint8(), list(batch.pixels.shape[1:]))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(batch.pixels.ravel()), int(np.prod(batch.pixels.shape[1:])))
    columns = {
        "id": pa.array(ids),
        "image": pa.ExtensionArray.from_storage(image, flat),
        "office": pa.array([str(o) for o in batch.offices]),
        "scan": pa.array(batch.groups),
    }
    if labels is not None:
        columns["digit"] = pa.array([str(v) for v in labels])
    return pa.table(columns)


def true_accuracy(world: World, model: bytes) -> Callable[[Scanner], float]:
    """Accuracy of an ONNX model under a scanner, on 4,000 fixed rows of the early scans.

    A week has 400 rows, on which accuracy is known to two points or so; this is what it would be in the long run.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    fixed = sheets(world.pools, world.pools.early, TRUTH_ROWS, np.random.default_rng([world.seed, 3]))
    truth = fixed.digits.astype(str)

    def at(scanner: Scanner) -> float:
        return float(np.mean(session.run(["label"], {"image": fixed.scanned(scanner).pixels})[0] == truth))

    return at


def fading(accuracy_at: Callable[[Scanner], float], weeks: int) -> list[Scanner]:
    """Scanners whose wear makes true accuracy fall by two points a week."""
    wear = np.linspace(0.0, 0.9, 31)
    accuracy = np.minimum.accumulate([accuracy_at(Scanner(wear=float(w))) for w in wear])
    lost = accuracy[0] - accuracy + np.arange(len(wear)) * 1e-9
    wanted = POINTS_A_WEEK * np.arange(1, weeks + 1)
    return [Scanner(wear=float(w)) for w in np.interp(wanted, lost, wear)]


def brighter(scanner: Scanner, by: float) -> Scanner:
    """The same scanner under a new lamp."""
    return replace(scanner, brightness=scanner.brightness + by)
