"""Where a run has got to, so that a killed one goes on and ends at the same bytes. Arrays only, no pickle."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

State = dict[str, Tensor]


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, best: State, progress: dict[str, Any]) -> None:
    """Replace the checkpoint: temporary name, fsync, rename."""
    arrays = {f"model/{k}": v.cpu().numpy() for k, v in model.state_dict().items()}
    arrays |= {f"best/{k}": v.cpu().numpy() for k, v in best.items()}
    for number, moments in optimiser.state_dict()["state"].items():
        arrays |= {f"optimiser/{number}/{k}": v.cpu().numpy() for k, v in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with fresh.open("wb") as file:
            np.savez(file, progress=np.frombuffer(json.dumps(progress).encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def restore(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[State, dict[str, Any]] | None:
    """Put model and optimiser back where they were; None when there is no checkpoint or it cannot be read."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            progress = json.loads(arrays.pop("progress").tobytes())
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return None
    model.load_state_dict(_under(arrays, "model/"))
    moments: dict[int, State] = {}
    for name, value in _under(arrays, "optimiser/").items():
        number, key = name.split("/")
        moments.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return _under(arrays, "best/"), progress


def _under(arrays: dict[str, Any], prefix: str) -> State:
    return {k.removeprefix(prefix): torch.from_numpy(np.array(v)) for k, v in arrays.items() if k.startswith(prefix)}
