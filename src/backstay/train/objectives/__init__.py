"""The shelf of objectives: `build(options, problem)` answers an `Objective`."""

from backstay.kernel.registry import Shelf

OBJECTIVES = Shelf(
    "objective",
    "backstay.objectives",
    {
        "supcon": "backstay.train.objectives.supcon:build",
        "contrastive": "backstay.train.objectives.contrastive:build",
        "triplet": "backstay.train.objectives.triplet:build",
        "nt_xent": "backstay.train.objectives.nt_xent:build",
        "vicreg": "backstay.train.objectives.vicreg:build",
        "bigan": "backstay.train.objectives.bigan:build",
        "variational": "backstay.train.objectives.variational:build",
        "denoising": "backstay.train.objectives.denoising:build",
        "masked": "backstay.train.objectives.masked:build",
        "scarf": "backstay.train.objectives.scarf:build",
        "distil": "backstay.train.objectives.distil:build",
        "prototypical": "backstay.train.objectives.prototypical:build",
        "arcface": "backstay.train.objectives.arcface:build",
        "metric": "backstay.train.objectives.metric:build",
        "cross_entropy": "backstay.train.objectives.cross_entropy:build",
    },
)
