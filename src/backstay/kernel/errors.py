"""Errors that a person reads: what happened, with which value, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BackstayError(Exception):
    """Bad usage or bad input: exit code 2.

    Args:
        what: what happened and with which value, as one sentence.
        fix: what the reader can do about it, as one sentence.

    >>> str(BackstayError("no column 'chrun'", fix="did you mean 'churn'?"))
    "no column 'chrun'; did you mean 'churn'?"
    """

    exit_code = 2

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


class Refused(BackstayError):
    """A gate, a policy or an alarm says no: exit code 3. Nothing has changed but the ledger."""

    exit_code = 3


class NotFound(BackstayError):
    """A model, version, release, row or file that was named is not there."""


class Conflict(BackstayError):
    """Somebody else was first: another promotion, another lease holder, a pointer that moved."""


class Tampered(BackstayError):
    """Bytes do not hash to what was recorded: a bundle, a blob or the ledger was changed."""


class StoreTooNew(BackstayError):
    """The store was written by a newer Backstay than this one."""


# Of many names (features, rows of a gallery) the nearest and these are told.
LISTED = 50


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the valid values, the nearest one first.

    >>> nearest("acuracy", ["accuracy", "recall"])
    "did you mean 'accuracy'? known: accuracy, recall"
    >>> nearest("zzz", ["accuracy"])
    'known: accuracy'
    >>> nearest("Y", ["x", "y"])
    "did you mean 'y'? known: x, y"
    >>> nearest("r99", [f"row-{i}" for i in range(1000)])[-20:]
    'row-142 and 950 more'
    """
    names = sorted(known)
    listing = f"known: {', '.join(names[:LISTED])}" if names else "there are none yet"
    if len(names) > LISTED:
        listing += f" and {len(names) - LISTED} more"
    close = [n for n in names if n.casefold() == name.casefold()] or get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}? {listing}" if close else listing
