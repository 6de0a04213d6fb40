"""Backstay stands behind machine-learning models in production.

The names below are loaded when they are first used, so that `import backstay` and `backstay --help` stay quick.

>>> import backstay
>>> sorted(backstay.__all__)[:3]
['BackstayError', 'Project', 'Refused']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.kernel.errors import BackstayError, Refused
    from backstay.loop.standalone import watch
    from backstay.project import Project, adopt, init, log, open  # noqa: A004 - backstay.open reads as it should

__version__ = "0.1.0"

_HOMES = {
    "BackstayError": "backstay.kernel.errors",
    "Refused": "backstay.kernel.errors",
    "Project": "backstay.project",
    "adopt": "backstay.project",
    "init": "backstay.project",
    "log": "backstay.project",
    "open": "backstay.project",
    "watch": "backstay.loop.standalone",
}

__all__ = ["BackstayError", "Project", "Refused", "__version__", "adopt", "init", "log", "open", "watch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backstay' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
