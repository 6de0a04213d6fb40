"""project.data: rows before they become a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.loop.audit import Audited
    from backstay.loop.forget import Forgotten
    from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class DataVerbs:
    """Rows before they become a model."""

    ws: Workspace

    def audit(self) -> Audited:
        """Look at the project's data for what spoils a model: leaks, duplicates, wrong labels."""
        from backstay.loop.audit import audit

        return audit(self.ws)

    def forget(self, *, ids: Sequence[str] = (), groups: Sequence[str] = (), reason: str) -> Forgotten:
        """Erase rows by prediction id or group; answers what was erased and which models were trained on them."""
        from backstay.loop.forget import forget

        return forget(self.ws, ids=ids, groups=groups, reason=reason)
