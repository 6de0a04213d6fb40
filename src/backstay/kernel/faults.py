"""What went wrong as something that a person can read, whatever it was: for those who must go on after it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from backstay.kernel.errors import BackstayError

MOST_WORDS = 500
HERE = Path(__file__).parents[1]


class Fault(BackstayError):
    """Something that Backstay did not expect, and so a fault of its own: exit code 1."""

    exit_code = 1


def told(error: Exception) -> BackstayError:
    """An error as it is where it is one of ours; else what it was, in one line, and how it is reported.

    >>> told(ZeroDivisionError("division by zero")).what
    'ZeroDivisionError: division by zero'
    """
    if isinstance(error, BackstayError):
        return error
    if isinstance(error, OSError):
        # A full disk or a folder of somebody else's, met where no part of ours had more to say about it.
        where = error.filename or "a file of the project"
        return BackstayError(
            f"{where} cannot be read or written ({error.strerror or error})",
            fix="check its owner and the free space of the disk",
        )
    words = " ".join(str(error).split())[:MOST_WORDS]
    place = _place(error.__traceback__)
    return Fault(
        f"{type(error).__name__}: {words}" if words else type(error).__name__,
        fix=f"this is a fault of Backstay's own{place}: report it with these words and what `backstay --version` says",
    )


def _place(trace: TracebackType | None) -> str:
    """The last line of ours that was reached."""
    found = ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(HERE):
            found = f" ({file.relative_to(HERE).as_posix()}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
