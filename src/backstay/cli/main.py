"""`backstay`: the verbs. Nothing heavy is imported until a verb runs, so that help is quick."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from backstay import __version__
from backstay.cli import care, find, first, more
from backstay.cli.options import complain
from backstay.kernel.errors import BackstayError
from backstay.kernel.faults import told

app = typer.Typer(
    name="backstay",
    help="Stands behind machine-learning models in production: adopt one, watch it, gate its successors.",
    epilog="Exit codes: 0 done, 2 bad usage or input, 3 refused by a gate or an alarm, 1 a fault of ours.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        sys.stdout.write(f"backstay {__version__}\n")
        raise typer.Exit


STOPPED = 130
"""The exit code after Ctrl-C; the parser turns it into this number by itself."""
TERMINATED = 143
"""The exit code after SIGTERM, which service managers send; systemd takes it for a clean end where it is told to."""

first.register(app)
more.register(app)
find.register(app)
care.register(app)


def main() -> None:
    """Entry point: runs a verb and turns what went wrong into one clear message and an exit code.

    To be told to end by a service manager is to be stopped by a person: what a verb began is put away, leases and
    processes of its own among it.
    """
    terminated = False

    def end(*_: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    code = run(sys.argv[1:])
    if code == STOPPED:
        # All is said and done: pressing the keys again while the interpreter ends adds nothing but its traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = TERMINATED if terminated else STOPPED
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line; answers the exit code."""
    try:
        result = app(args=arguments, standalone_mode=False, prog_name="backstay")
    except BackstayError as error:
        complain(error, as_json="--json" in arguments)
        return error.exit_code
    except typer.Exit as end:
        return end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _stopped()
    except typer.TyperException as error:
        # Wrong usage: the parser's own message, which names the nearest option or verb.
        wrong = BackstayError(error.format_message(), fix="see `backstay --help`, or `backstay VERB --help`")
        complain(wrong, as_json="--json" in arguments)
        return wrong.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        found = told(error)
        complain(found, as_json="--json" in arguments)
        return found.exit_code
    if result == STOPPED:
        return _stopped()
    return result if isinstance(result, int) else 0


def _stopped() -> int:
    sys.stderr.write("stopped; nothing was left half-done\n")
    return STOPPED


if __name__ == "__main__":
    main()
