"""project.releases: what is live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.kernel.momentum import Momentum
    from backstay.kernel.records import Release
    from backstay.loop.look import History
    from backstay.loop.sign import Signed
    from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class ReleaseVerbs:
    """What is live."""

    ws: Workspace

    def sign(self, model_id: str | None = None) -> Signed:
        """Sign a model's bundle with the key of the environment (BACKSTAY_SIGNING_KEY)."""
        from backstay.loop.sign import sign

        return sign(self.ws, model_id)

    def promote(self, candidate: str | None = None, *, reason: str = "") -> Release:
        """Make a candidate live. Raises Refused until a current verdict on it has passed."""
        from backstay.loop.promote import promote

        return promote(self.ws, candidate, reason=reason)

    def rollback(self, to: str | None = None, *, reason: str) -> Release:
        """Go back to a former release. Needs a reason, never a verdict."""
        from backstay.loop.promote import roll_back

        return roll_back(self.ws, to, reason=reason)

    def champion(self) -> Release:
        """The live release. Raises NotFound when there is none."""
        return self.ws.champion()

    def history(self) -> History:
        """Releases and refusals, oldest first."""
        from backstay.loop.look import history

        return history(self.ws)

    def trend(self, *, horizon_days: float = 365.0, page: Path | None = None) -> Momentum:
        """Where quality is going: decay of each release and when it meets its threshold, and how alarms were answered.

        Args:
            horizon_days: how far ahead a threshold is looked for.
            page: where to write the HTML page.
        """
        from backstay.loop.trend import trend

        return trend(self.ws, horizon_days=horizon_days, page=page)

    def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        require_key: bool = True,
        announce: Callable[[str], None] = print,
    ) -> None:
        """Answer requests until told to stop."""
        from backstay.loop.serve import serve

        serve(self.ws, host=host, port=port, require_key=require_key, announce=announce)
