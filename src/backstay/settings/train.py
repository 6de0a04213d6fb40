"""[train]: the recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from backstay.settings.section import Section

ENCODER = "encoder"
# What teaches the encoder, unless said otherwise, under a head that no objective can train.
UNTRAINED_HEADS = {"knn": "supcon", "anomaly": "denoising"}


class TrainSettings(Section):
    """The recipe. Two runs with the same recipe, data, seed, threads and versions give the same bundle. A key that was
    set and that the model and task at hand do not read is refused, but for how long and wide training is."""

    model: str = ENCODER
    """"encoder" trains an encoder, an objective and a head; the others, for tables, stand in docs/learning.md."""
    model_options: dict[str, float | int | str | bool] = Field({})
    """Options of a model without an encoder; docs/learning/estimators.md names them."""
    encoder: str = "auto"
    """"auto" takes conv for images and mlp for tables; see docs/learning/encoders.md."""
    objective: str = "cross_entropy"
    """What training minimises; see docs/learning/objectives.md. Unless it is named, it is "supcon" where the head is
    "knn" and "denoising" where it is "anomaly": those are made of examples, and cross_entropy would train them."""
    head: str = "linear"
    """What turns embeddings into scores; see docs/learning/heads.md."""
    encoder_options: dict[str, float | int | str | bool] = Field({})
    """Options of the encoder; docs/learning/encoders.md names them."""
    objective_options: dict[str, float | int | str | bool] = Field({})
    """Options of the objective; docs/learning/objectives.md names them."""
    head_options: dict[str, float | int | str | bool] = Field({})
    """Options of the head; docs/learning/heads.md names them."""
    enhance: bool = False
    """The bundle also answers an image for an image, as the objective "denoising" or "variational" rebuilds it: see
    docs/images.md."""
    start_from: str = ""
    """Where the encoder's weights begin: "" draws them, "champion" takes those of the live model where there is one
    (with its scales, categories and tokens), and a model's id those of that model."""
    freeze: bool = False
    """Leave the encoder as it starts (`start_from`): the head alone learns, and the space of embeddings stays."""
    pairs_weight: float = Field(1.0, ge=0)
    """Weight of the loss of judged pairs (`data.pairs`) beside the objective's."""
    epochs: int = Field(0, ge=0, le=10_000)
    """Most passes over the training rows; 0 takes 20, or more where rows are so few that 300 steps need more."""
    patience: int = Field(0, ge=0)
    """Epochs without progress on the tuning rows after which training stops; 0 takes 4, or as many as make 60 steps."""
    early_stopping: Literal["auto", "loss", "knn"] = "auto"
    """What progress is: a lower "loss" of the tuning rows, or more of them whose nearest training rows are of their
    class ("knn"; under `distil` nearest in the teacher's space); "auto" takes loss for objectives that learn from
    labels and knn for the others. Regressions and sets of labels have the loss alone."""
    batch_size: int = Field(256, ge=2)
    """Rows a step."""
    samples_per_class: int = Field(0, ge=0, le=1000)
    """Rows a class in a batch of few classes; 0 leaves it to the objective: 4 where it needs partners, else any."""
    cached_rows: int = Field(0, ge=0)
    """Rows held in memory at once within a step, for batches larger than memory; 0 holds them all."""
    augmentation: float = Field(1.0, ge=0, le=10)
    """Strength of the random changes to training rows; 0 leaves them as they are, and is usual with
    task = "regression": a target that is a number may change with its row."""
    augmentation_options: dict[str, float | int | str | bool] = Field({})
    """Of images, which changes: "moves" and "exposure" multiply theirs, "crop" is the least share that a crop keeps,
    "warp" how far places are displaced, in shares of a side."""
    quarter_turns: bool = False
    """Learn from training images turned by quarter turns as well, each turn of a class a class of its own: four times
    the classes and the rows an epoch. For square images and objectives that need classes but no scores (few-shot)."""
    flip: bool = False
    """Mirror half of the training images left to right; not where that changes what they show, as with digits. Images
    only, and only where `augmentation` is above 0."""
    learning_rate: float = Field(1e-3, gt=0)
    """Step size at its highest."""
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    """How the step size goes: "cosine" falls from its highest, epoch by epoch; "one_cycle" rises for a fifth of the
    steps, then falls, step by step, which allows larger steps in few epochs (Smith & Topin 2018)."""
    weight_decay: float = Field(1e-4, ge=0)
    """Pull of the weights towards zero."""
    dimension: int = Field(64, ge=2, le=4096)
    """Length of an embedding."""
    temperature: float = Field(0.1, gt=0)
    """Temperature of the contrastive objective; smaller looks at harder pairs."""
    seed: int = Field(0, ge=0)
    """Of everything that is random in training."""
    threads: int = Field(1, ge=1)
    """Threads of the training process; part of what makes a bundle repeatable. One: on a busy machine of two cores a
    second learned 0.89 (conv) and 0.95 times (mlp) the rows a second at 1.19 and 1.16 times the CPU-seconds
    (docs/benchmarks.md, Threads of training). An idle or larger machine was not measured: bench/learn_threads.py does
    it there."""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """Where an encoder is trained, for classes, numbers or sets of labels: "cuda" is a GPU, with half precision in the
    encoder; "auto" takes one if there is one, and goes on there with a run that was killed on a CPU, or the other way
    round. Bundles are the same bytes again on a CPU only."""
    half: bool = False
    """Half precision (bfloat16) in the encoder on a CPU too: about twice as fast on one that has it (avx512_bf16, AMX),
    slower on others. Objectives that rebuild rows do without."""

    @model_validator(mode="before")
    @classmethod
    def _of_other_heads(cls, given: Any) -> Any:
        """A head that is made of examples leaves the encoder to another objective than the usual one."""
        head = str(given.get("head")) if isinstance(given, dict) else ""
        return {"objective": UNTRAINED_HEADS[head], **given} if head in UNTRAINED_HEADS else given
