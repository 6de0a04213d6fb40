"""A shelf: named plug-ins, loaded when first asked for. Built-ins and other people's packages enter by one door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from backstay.kernel.errors import NotFound, nearest


class Shelf:
    """Names mapped to `module:attribute` targets; nothing is imported until a name is asked for.

    Args:
        what: what stands on it, in the singular, for messages ("detector").
        group: the entry-point group by which other packages add to it ("backstay.detectors").
        built_in: this package's own table, name -> "module:attribute".

    >>> Shelf("codec", "example.codecs", {"json": "json:dumps"})["json"]([1])
    '[1]'
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str]) -> None:
        self.what = what
        self.group = group
        self.built_in = MappingProxyType(dict(built_in))
        self._targets = dict(built_in)
        self._scanned = False

    def _scan(self) -> dict[str, str]:
        if not self._scanned:
            for point in entry_points(group=self.group):
                self._targets.setdefault(point.name, point.value)
            self._scanned = True
        return self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._scan()))

    def __contains__(self, name: object) -> bool:
        return name in self._scan()

    def __getitem__(self, name: str) -> Any:
        try:
            target = self._scan()[name]
        except KeyError:
            raise NotFound(f"there is no {self.what} named {name!r}", fix=nearest(name, self)) from None
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
