"""What Backstay is compared with: installed from PyPI into an environment of its own, or left out and said so."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 180.0
# Exact versions of a peer and of all that it pulls, one file a peer.
PINNED = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """An environment with a peer in it, or why there is none (`python` is then None)."""

    python: Path | None
    why_not: str = ""


def pinned(name: str, folder: Path, *, seconds: float = 900.0) -> Peer:
    """Make an environment with what `peers/NAME.txt` pins, unless it is there already and the file unchanged."""
    requirements = PINNED / f"{name}.txt"
    marked = (f"# {hashlib.sha256(requirements.read_bytes()).hexdigest()}",)
    return install(folder, ("-r", str(requirements)), seconds=seconds, marked=marked)


def install(
    folder: Path, packages: tuple[str, ...], *, seconds: float = INSTALL_SECONDS, marked: tuple[str, ...] = ()
) -> Peer:
    """Make an environment in this folder with these packages, unless it is there already."""
    python = folder / "bin" / "python"
    done, mark = folder / "installed", " ".join(marked or packages)
    if done.is_file() and done.read_text() == mark:
        return Peer(python)
    until = time.monotonic() + seconds
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=seconds)
        subprocess.run(
            [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", *packages],
            check=True,
            capture_output=True,
            timeout=max(1.0, until - time.monotonic()),
        )
    except subprocess.TimeoutExpired:
        return Peer(None, f"not installed within {seconds:.0f} seconds")
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", b"") or str(error).encode()
        return Peer(None, f"could not be installed ({told.decode(errors='replace').strip().splitlines()[-1][:200]})")
    done.write_text(mark)
    return Peer(python)


def versions(python: Path, packages: tuple[str, ...]) -> str:
    """The versions of these packages in an environment, in words."""
    program = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    told = subprocess.run([str(python), "-c", program, *packages], check=True, capture_output=True, text=True)
    return told.stdout.strip()
