"""What the vendors learned from whose successors are refused. Each is trained honestly on the rows that it had."""

from __future__ import annotations

from backstay.demo.scans import Batch, draw
from backstay.demo.world import World, joined


def quick_fix(world: World) -> Batch:
    """Much of the worn scanner's work, but nobody asked the harbour office for any: worse on that slice."""
    batch = draw(world.pools, world.pools.foreign, 9000, world.scanner, world.rng)
    return batch.take(batch.offices != "harbour")


def no_better(world: World, labelled: Batch) -> Batch:
    """The labelled rows that the champion had, and some of the vendor's own: about as good, within noise."""
    return joined([labelled, draw(world.pools, world.pools.foreign, 2500, world.scanner, world.rng)])
