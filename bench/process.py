"""What a process and its children have used, read from /proc (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: str) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may itself contain spaces: state is number 0."""
    return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()


def family(root: int) -> list[int]:
    """A process and all that descend from it and still live."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(entry.name)[1])
            except (OSError, IndexError):
                continue  # it ended while we looked
    found, fresh = [root], {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh}
        found += sorted(fresh)
    return found


def cpu_seconds(root: int) -> float:
    """CPU time of a process, of its living descendants, and of the ended children that each has waited for."""
    ticks = 0
    for pid in family(root):
        try:
            ticks += sum(int(field) for field in _stat(str(pid))[11:15])
        except OSError:
            continue
    return ticks / TICKS


def peak_bytes() -> int:
    """Most memory that this process has had at one time."""
    return _status("VmHWM")


def resident_bytes() -> int:
    """Memory that this process has now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
