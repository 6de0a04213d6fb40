"""A server over a folder: what `backstay serve` wires to the store, wired to files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from backstay.access.keys import KeyRecord
from backstay.bundle.gallery import GalleryFile
from backstay.kernel.clock import SystemClock
from backstay.kernel.codec import decode
from backstay.kernel.records import Release
from backstay.serve.live import LiveRelease
from backstay.serve.server import run_server
from backstay.settings import Settings


def main(folder: Path) -> None:
    def pointer() -> LiveRelease | None:
        found = json.loads((folder / "pointer.json").read_text())
        if found["broken"]:
            raise OSError(found["broken"])
        release = decode(Release, found["release"])
        return LiveRelease(release, folder / "bundles" / release.model_id)

    run_server(
        Settings.model_validate_json((folder / "settings.json").read_text()),
        pointer=pointer,
        keys=lambda: decode(list[KeyRecord], json.loads((folder / "keys.json").read_text())),
        galleries=lambda: galleries(folder),
        journal_directory=folder / "journal",
        clock=SystemClock(),
        announce=lambda line: print(line, flush=True),
    )


def galleries(folder: Path) -> dict[str, GalleryFile]:
    listed = folder / "galleries.json"
    found = json.loads(listed.read_text()) if listed.is_file() else {}
    return {name: GalleryFile(g["id"], g["space"], Path(g["path"])) for name, g in found.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
