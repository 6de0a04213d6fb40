"""Write the generated pages of docs/ from the source: `python tools/make_docs.py`, or `--check` to only compare.

What is said of a setting stands beside it in settings/, of a plug-in in its docstring, of a verb in the command
line, so no page can say another thing than the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from doc_pages.proofs import with_proofs
from doc_pages.prose import NOTE, ROOT
from doc_pages.rules import rules_page
from doc_pages.settings import settings_page
from doc_pages.shelves import entry_points, modules_page, plug_in_page, shelf_page, table
from doc_pages.verbs import verbs_page

from backstay.data.audit import CHECKS
from backstay.evaluate.metrics import METRICS
from backstay.evaluate.metrics.sets import SET_METRICS
from backstay.evaluate.metrics.values import VALUE_METRICS
from backstay.kernel.registry import Shelf
from backstay.monitor.detectors import DETECTORS
from backstay.settings import WatchSettings
from backstay.train.encoders import ENCODERS
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.numbers import REGRESSORS
from backstay.train.heads import HEADS
from backstay.train.objectives import OBJECTIVES

# Folders in which every page is generated: one that is not is of a plug-in that is gone.
GENERATED = ("docs/learning", "docs/detectors")
LEARNING: dict[str, tuple[str, str, Shelf]] = {
    "encoders": (
        "Encoders",
        "`train.encoder`: what turns rows into embeddings. Options stand under `[train.encoder_options]`.",
        ENCODERS,
    ),
    "objectives": (
        "Objectives",
        "`train.objective`: what training minimises. Options stand under `[train.objective_options]`; "
        "`train.temperature` is T where a formula has one. z are embeddings, which have length 1. Costs are of the "
        "loss of a batch with the random changes to its rows; the encoder's own come on top, once for each copy of a "
        "row, and are nearly always more. Which one for which data, with figures: [objectives.md](../objectives.md). "
        'Of a target that is a number the objectives are `"huber"` and `"squared"`: [regression.md](../regression.md).',
        OBJECTIVES,
    ),
    "heads": (
        "Heads",
        "`train.head`: what turns embeddings into scores. Options stand under `[train.head_options]`. "
        "A guide: [heads.md](../heads.md).",
        HEADS,
    ),
    "estimators": (
        "Models without an encoder",
        '`train.model`, for tables and a target that is a class: `model = "gradient_boosting"` and its like. Options '
        "stand under `[train.model_options]`. They give no embedding.",
        ESTIMATORS,
    ),
    "regressors": (
        "Models of numbers",
        "`train.model`, for tables and a target that is a number ([regression.md](../regression.md)). Options stand "
        "under `[train.model_options]`.",
        REGRESSORS,
    ),
}


def pages() -> dict[str, str]:
    """Path below the repository, and text, of every generated page."""
    return {
        "docs/settings.md": settings_page(),
        "docs/verbs.md": verbs_page(),
        "docs/rules.md": rules_page(),
        "docs/audits.md": shelf_page(
            "Audit checks",
            "What `backstay audit` and `backstay run` look for before anything learns. An open finding of high "
            "severity makes the gate refuse ([gate.md](gate.md)), and `backstay audit` end with exit code 3.",
            [CHECKS],
        ),
        "docs/metrics.md": shelf_page(
            "Metrics",
            "What `evaluate` measures. Every figure has a 95% interval, the number of rows behind it, and the id of "
            "its data. What cannot be computed is NaN, which no rule of the gate lets pass.",
            [METRICS, VALUE_METRICS, SET_METRICS],
        ),
        **dict(_detectors()),
        **dict(_learning()),
        **{path: with_proofs((ROOT / path).read_text(), ROOT) for path in _measured()},
    }


def _measured() -> list[str]:
    """Pages written by hand that show measured tables."""
    return ["docs/momentum.md", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/statistics/*.md")))]


def _detectors() -> Iterator[tuple[str, str]]:
    usual = ", ".join(f"`{name}`" for name in WatchSettings().detectors)
    lines = [
        "# Detectors",
        NOTE,
        "",
        "What can raise an alarm, one page each: what it compares, by which statistic, what it promises, and when it "
        "is wrong, both ways. `watch.detectors` names those that look; by default these are "
        f"{usual}. `budget.weights` says what part of the false "
        "alarms each may have. What they promise together, with measurements: [statistics.md](statistics.md). "
        "Begin with [why.md](why.md) when one has alarmed, or has not.",
        "",
        *table(DETECTORS, "detectors/{}.md", ("Sees", "Needs")),
        "",
        entry_points([DETECTORS]),
    ]
    yield "docs/detectors.md", "\n".join(lines) + "\n"
    above = "A detector: all of them stand in [detectors.md](../detectors.md)."
    for name in DETECTORS.built_in:
        yield f"docs/detectors/{name}.md", plug_in_page(DETECTORS, name, above, "../")


def _learning() -> Iterator[tuple[str, str]]:
    lines = [
        "# Training",
        NOTE,
        "",
        "What `[train]` chooses from, one page a shelf: an encoder turns rows into embeddings, an objective says what "
        "is minimised, a head turns embeddings into scores. For tables there are models without an encoder besides. "
        "Needs `backstay[learn]`. Which objective for which data: [objectives.md](objectives.md).",
    ]
    for page, (title, introduction, shelf) in LEARNING.items():
        lines += ["", f"## [{title}](learning/{page}.md)", "", *table(shelf, f"learning/{page}.md#{{}}")]
        yield f"docs/learning/{page}.md", shelf_page(title, introduction, [shelf], "../")
    lines += [
        "",
        "## Besides",
        "",
        "- [Augmentations](learning/augmentations.md): how rows are changed at random while learning.",
        "- [Batches and triplets](learning/batches.md): which rows make a batch, and which triplets of it count.",
        "",
        entry_points([shelf for _, _, shelf in LEARNING.values()]),
    ]
    yield "docs/learning.md", "\n".join(lines) + "\n"
    yield (
        "docs/learning/augmentations.md",
        modules_page(
            "Augmentations",
            "How rows are changed at random while learning. `train.augmentation` is the strength: 0 changes nothing, "
            "1 is what is told here. Options stand under `[train.augmentation_options]`.",
            [f"backstay.train.augmentations.{name}" for name in ("images", "rows", "texts")],
            "../",
        ),
    )
    yield (
        "docs/learning/batches.md",
        modules_page(
            "Batches and triplets",
            "Which rows make a batch, and which triplets of it are learned from. The objective chooses; "
            "`train.batch_size` and `train.samples_per_class` set how many.",
            ["backstay.train.samplers", "backstay.train.miners"],
            "../",
        ),
    )


def main() -> int:
    """Write what differs and remove what is generated no more; with --check only name it, and answer 1 if there is
    any."""
    check = "--check" in sys.argv[1:]
    made = pages()
    stale = [path for path, text in made.items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text]
    found = [str(path.relative_to(ROOT)) for folder in GENERATED for path in sorted((ROOT / folder).glob("*.md"))]
    gone = [path for path in found if path not in made]
    for path in (*stale, *gone):
        sys.stdout.write(f"{path}\n")
        if check:
            continue
        if path in gone:
            (ROOT / path).unlink()
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(made[path])
    return 1 if check and (stale or gone) else 0


if __name__ == "__main__":
    sys.exit(main())
