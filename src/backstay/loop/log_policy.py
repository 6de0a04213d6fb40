"""What the log's policy on inputs makes impossible for a given model: refused before that model is live."""

from __future__ import annotations

from backstay.bundle.manifest import Manifest
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ModelRecord
from backstay.loop.workspace import Workspace

# Look at embeddings, and at inputs where the model puts out none.
DETECTORS = ("embedding", "novelty")


def refuse_blind_release(ws: Workspace, record: ModelRecord) -> None:
    """Raise BackstayError where a detector would see nothing of this model; the project file alone cannot tell.

    A model of which only predictions are known is not asked: its imports hold whatever its owner puts there.
    """
    if record.bundle is not None:
        refuse_blind(ws, Manifest.read(ws.bundles / record.bundle / "manifest.json"))


def refuse_blind(ws: Workspace, manifest: Manifest) -> None:
    """The same for a model that is not filed yet."""
    kept = ws.settings.serve.log_inputs
    blind = [name for name in DETECTORS if name in ws.settings.watch.detectors]
    if kept != "all" and blind and manifest.output("embedding") is None:
        raise BackstayError(
            f'serve.log_inputs = "{kept}" keeps no inputs, the model puts out no embedding, and the detector '
            f'"{blind[0]}" in watch.detectors needs the one or the other',
            fix=f'take "{blind[0]}" out of watch.detectors, set serve.log_inputs = "all", or use a model with an '
            "embedding output",
        )
