"""The story in six chapters. Backstay is used as anybody would use it: by its command line and over HTTP."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from backstay.demo.answers import as_told
from backstay.demo.closing import there_and_back
from backstay.demo.fading import adopt, fade
from backstay.demo.meaning import meaning
from backstay.demo.performance import TOLD, Performance, Tale
from backstay.demo.stage import MemoryWatch, Stage
from backstay.demo.succession import refuse, replace
from backstay.demo.table import closing_table
from backstay.demo.world import World
from backstay.kernel.errors import BackstayError


def tell(output: Path, *, seed: int = 0, as_json: bool = False) -> int:
    """Play all six chapters in a fresh folder; answers the exit code (0 when everything happened as it should)."""
    output = output.resolve()
    if output.exists() and any(output.iterdir()) and not (output / ".backstay-demo").exists():
        raise BackstayError(f"{output} is not empty and not an earlier demo", fix="name another folder with --output")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / ".backstay-demo").touch()
    began = time.monotonic()
    memory = MemoryWatch()
    memory.start()
    tale = Tale(seed)
    with Stage(output / "project") as stage:
        try:
            _play(Performance(stage, World(seed), tale, output, loud=not as_json))
        finally:
            lines = [f"{took:6.2f} s  {line}\n" for line, took in stage.commands]
            (output / "commands.txt").write_text("".join(lines))
    tale.facts["seconds"] = time.monotonic() - began
    tale.facts["peak_megabytes"] = memory.finish() / 2**20
    result = {"seed": seed, **tale.facts, "refusals": tale.refusals}
    (output / "result.json").write_text(json.dumps(result, indent=2, default=float) + "\n")
    if as_json:
        sys.stdout.write(json.dumps(result, default=float) + "\n")
    else:
        closing_table(result)
    return 0 if tale.facts["as_it_should"] else 1


def _play(show: Performance) -> None:
    show.say(TOLD)
    for chapter in (adopt, fade, replace, refuse, meaning, there_and_back):
        chapter(show)
    show.tale.facts["as_it_should"] = as_told(show.tale.facts, show.tale.refusals)
