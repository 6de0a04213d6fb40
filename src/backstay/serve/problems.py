"""What a client is told when a request cannot be answered: a status and one sentence with a fix."""

from __future__ import annotations


class Problem(Exception):
    """An answer other than 200. Its body is always {"error": text}."""

    def __init__(self, status: int, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.text = f"{what}; {fix}" if fix else what
