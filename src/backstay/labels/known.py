"""Whether labels mean anything to the model: which of them name one of its classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from backstay.kernel.errors import BackstayError

SHOWN = 5
_TRUTHS = frozenset({"true", "false", "t", "f", "yes", "no", "y", "n"})
_BITS = frozenset({"0", "1"})


def strange(values: Iterable[str], classes: Collection[str]) -> tuple[str, ...]:
    """Values that name no class, each once, in the order given.

    >>> strange(["1", "maybe", "0", "maybe"], ("0", "1"))
    ('maybe',)
    """
    known = set(classes)
    return tuple(dict.fromkeys(value for value in values if value not in known))


def told(values: Collection[str]) -> str:
    """Some values for people.

    >>> told(["maybe", "often"]), told(list("abcdefg"))
    ("'maybe', 'often'", "'a', 'b', 'c', 'd', 'e' and 2 more")
    """
    some, more = [repr(value[:40]) for value in list(values)[:SHOWN]], len(values) - SHOWN
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")


def spelled(values: Collection[str], classes: Collection[str]) -> str:
    """What to do about values of which none is a class, where it can be guessed; "" otherwise.

    >>> spelled(["true", "false"], ("0", "1"))
    'write 1 for true and 0 for false, as the model answers'
    >>> spelled(["YES"], ("no", "yes"))
    "write 'YES' as 'yes': case counts"
    >>> spelled(["true", "false"], ("no", "yes"))
    "write 'no', 'yes', as the model answers"
    """
    lower = {value.strip().lower() for value in values}
    if lower <= _TRUTHS and _BITS.issuperset(classes):
        return "write 1 for true and 0 for false, as the model answers"
    if lower <= _BITS and {c.lower() for c in classes} <= _TRUTHS:
        return f"write {told(sorted(classes))} for 0 and 1, as the model answers"
    folded = {name.strip().lower(): name for name in classes}
    for value in values:
        name = folded.get(value.strip().lower())
        if name is not None:
            return f"write {value!r} as {name!r}: case counts"
    if lower <= _TRUTHS and folded.keys() <= _TRUTHS:
        return f"write {told(sorted(classes))}, as the model answers"
    return ""


def refuse_unlike(labels: Iterable[str | None], answers: Iterable[str], *, label: str, prediction: str) -> None:
    """Raise BackstayError where not one of the true values is ever answered: they are not written alike.

    Args:
        labels: true values, None where nobody knows. label, prediction: the columns that they stand in.
    """
    true, said = ({value: None for value in values if value is not None} for values in (labels, answers))
    if not true or not said or set(true) & set(said):
        return
    raise BackstayError(
        f"no true value in {label!r} is among the answers in {prediction!r}: the former are {told(sorted(true))}, the "
        f"latter {told(sorted(said))}",
        fix=spelled(sorted(true), tuple(sorted(said))) or "name the columns of one target, written alike",
    )
