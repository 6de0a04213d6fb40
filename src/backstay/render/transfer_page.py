"""A table of transfer as a page: a row a domain learned on, a column a domain judged on."""

from __future__ import annotations

from backstay.kernel.transfer import Transfer
from backstay.render.engine import fill


def transfer_page(found: Transfer) -> str:
    """The page of a transfer."""
    return fill(
        "transfer.html.j2", title=f"{found.model}: what is learned in one {found.by}, judged in another", t=found
    )
