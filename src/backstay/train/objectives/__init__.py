"""The shelf of objectives: `build(recipe)` answers an `Objective`."""

from backstay.kernel.registry import Shelf

OBJECTIVES = Shelf(
    "objective",
    "backstay.objectives",
    {
        "supcon": "backstay.train.objectives.supcon:build",
        "cross_entropy": "backstay.train.objectives.cross_entropy:build",
    },
)
