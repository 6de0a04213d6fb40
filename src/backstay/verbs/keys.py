"""project.keys: who may ask the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.loop.keys import CreatedKey, ListedKey
    from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class KeyVerbs:
    """Keys of the server."""

    ws: Workspace

    def create(
        self, name: str, *, scopes: Sequence[str] = ("predict", "feedback"), days: float | None = None
    ) -> CreatedKey:
        """A new key; its secret is shown this once."""
        from backstay.loop.keys import create

        return create(self.ws, name, scopes=scopes, days=days)

    def revoke(self, name: str) -> list[ListedKey]:
        """Make a key worthless at once; answers every key."""
        from backstay.loop.keys import revoke

        return revoke(self.ws, name)

    # Behind the others: in what follows, `list` is this method.
    def list(self) -> list[ListedKey]:
        """Every key, without its secret."""
        from backstay.loop.keys import listed

        return listed(self.ws)
