"""How many of something, in words."""

from __future__ import annotations


def counted(number: int, one: str) -> str:
    """
    >>> counted(1, "release"), counted(0, "label"), counted(1200, "row")
    ('1 release', '0 labels', '1,200 rows')
    """
    return f"{number:,} {one}{'' if number == 1 else 's'}"
