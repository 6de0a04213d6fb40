"""How fast `backstay serve` answers, beside a bare ASGI application with ONNX Runtime and beside MLServer.

All servers run at the same time and are loaded in turns, so that they meet the same machine. Backstay asks for a key
and logs every prediction with its inputs before it answers; the others do neither. The client is on the same machine
and takes part of it. Writes docs/benchmarks.md.

    python bench/serve.py            # about four minutes, one of them to install MLServer
    python bench/serve.py --quick    # under a minute, without MLServer; prints, writes nothing
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import urllib.error
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import load
import mlp
import page
import peers
import process
import servers
from backstay.journal.reader import Journal

CONCURRENCY = (1, 16, 64)
WARM_UP_SECONDS = 0.5
TOLERANCE = 1e-5
MLSERVER = ("mlserver", "httptools", "onnxruntime")
SCRIPTS = ("serve.py", "load.py", "bare_asgi.py", "mlserver_runtime.py", "servers.py", "mlp.py", "process.py")
PACKAGES = ("backstay", "onnxruntime", "uvicorn", "uvloop", "httptools", "numpy")
MEASURES = ("req/s", "p50 ms", "p99 ms", "server CPU µs/req")


TOLD = """An ONNX network of {widths}, one row a request as JSON, HTTP/1.1 with connections kept alive, {seconds:g} s
a cell, medians of {rounds} rounds; one process a server, all up at once and loaded in turns; the client is on the same
machine and takes part of it.

- **Backstay**: `backstay serve` as it comes. It checks key, request and answer, and logs inputs, label and scores
  before it answers. Without the key it refused; afterwards its log held {logged} predictions, one for each answer.
- **bare ASGI**: `bench/bare_asgi.py` under uvicorn, the floor. No key, no log, no metrics, no checks.
- **MLServer**: the model as a custom runtime in the server's own process (`parallel_workers` 0), its request log off,
  httptools added. No key, no log of predictions.

All gave the same scores before the measurement."""
RATIOS = "Ratios within a round: median (least to greatest). Above 1 is better for req/s and worse for the others."


@dataclass(frozen=True, slots=True)
class Cell:
    """One burst on one server: answers a second, milliseconds, CPU microseconds an answer."""

    rate: float
    p50: float
    p99: float
    cpu: float

    @property
    def values(self) -> tuple[float, float, float, float]:
        return self.rate, self.p50, self.p99, self.cpu


# (server, concurrency) -> one cell a round
Cells = dict[tuple[str, int], list[Cell]]


def measure(server: servers.Server, body: bytes, concurrency: int, seconds: float) -> tuple[Cell, int]:
    """One burst, and how many requests were answered."""
    before = process.cpu_seconds(server.pid)
    seen = load.drive(server.infer, body, concurrency=concurrency, seconds=seconds, key=server.key)
    used = process.cpu_seconds(server.pid) - before
    cell = Cell(seen.rate, seen.quantile(0.5) * 1e3, seen.quantile(0.99) * 1e3, used / seen.answers * 1e6)
    return cell, seen.answers


def run_rounds(running: list[servers.Server], body: bytes, rounds: int, seconds: float) -> tuple[Cells, dict[str, int]]:
    """Every server at every concurrency in each round; the server that begins changes from round to round."""
    cells: Cells = {}
    answered = {server.name: 0 for server in running}
    for server in running:
        _, count = measure(server, body, CONCURRENCY[-1], WARM_UP_SECONDS)
        answered[server.name] += count
    for turn in range(rounds):
        for concurrency in CONCURRENCY:
            first = turn % len(running)
            for server in running[first:] + running[:first]:
                cell, count = measure(server, body, concurrency, seconds)
                cells.setdefault((server.name, concurrency), []).append(cell)
                answered[server.name] += count
        print(f"round {turn + 1} of {rounds} done", file=sys.stderr)
    return cells, answered


def check_answers(running: list[servers.Server], model: Path) -> None:
    """All answer the same row alike, and as ONNX Runtime itself does: they do the same work."""
    label, scores = mlp.answers(model, np.round(mlp.draw_rows(1, seed=7), 6))
    for server in running:
        outputs = {output["name"]: output["data"] for output in server.ask(servers.request_body(1))["outputs"]}
        same = int(outputs["label"][0]) == int(label[0])
        if not same or not np.allclose(outputs["scores"], scores[0], atol=TOLERANCE):
            raise RuntimeError(f"{server.name} answers {outputs}, ONNX Runtime {label} and {scores}")
        if server.key is not None and not refuses(server):
            raise RuntimeError(f"{server.name} answers without its key")


def refuses(server: servers.Server) -> bool:
    """Whether the server turns away who has no key."""
    try:
        replace(server, key=None).ask(servers.request_body(1))
    except urllib.error.HTTPError as error:
        return error.code == 401
    return False


def count_logged(folder: Path) -> int:
    return sum(1 for _ in Journal(folder / ".backstay" / "journal").ids(servers.MODEL, "production"))


def result_table(running: list[servers.Server], cells: Cells) -> str:
    rows = []
    for concurrency in CONCURRENCY:
        for server in running:
            values = [[cell.values[i] for cell in cells[server.name, concurrency]] for i in range(len(MEASURES))]
            rate, p50, p99, cpu = (statistics.median(v) for v in values)
            rows.append([server.name, str(concurrency), f"{rate:.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{cpu:.0f}"])
    return page.table(["server", "connections", *MEASURES], rows)


def ratio_table(running: list[servers.Server], cells: Cells) -> str:
    """Backstay over each other server: the median of the rounds' ratios, and the least and greatest."""
    own, *others = running
    rows = []
    for concurrency in CONCURRENCY:
        for other in others:
            pairs = list(zip(cells[own.name, concurrency], cells[other.name, concurrency], strict=True))
            ratios = [[mine.values[i] / theirs.values[i] for mine, theirs in pairs] for i in range(len(MEASURES))]
            rows.append([f"Backstay / {other.name}", str(concurrency), *(_spread(r) for r in ratios)])
    return page.table(["ratio", "connections", *MEASURES], rows)


def _spread(ratios: list[float]) -> str:
    middle = f"{statistics.median(ratios):.2f}"
    return middle if len(ratios) == 1 else f"{middle} ({min(ratios):.2f} to {max(ratios):.2f})"


def report(given: argparse.Namespace, scratch: Path) -> str:
    """Run everything; the section for the page."""
    model = scratch / "mlp.onnx"
    mlp.write_model(model)
    peer = peers.Peer(None, "left out by --quick")
    if not given.quick or given.peers is not None:
        peer = peers.install((given.peers or scratch) / "mlserver", MLSERVER)
    with ExitStack() as stack:
        own_folder = scratch / "backstay"
        running = [
            stack.enter_context(servers.backstay(own_folder, model)),
            stack.enter_context(servers.bare(scratch / "bare", model)),
        ]
        if peer.python is not None:
            running.append(stack.enter_context(servers.mlserver(scratch / "served", model, peer.python)))
        check_answers(running, model)
        cells, answered = run_rounds(running, servers.request_body(1), given.rounds, given.seconds)
    # Two more than the bursts: the first answer after the start, and the check.
    logged, expected = count_logged(own_folder), answered[running[0].name] + 2
    if logged != expected:
        raise RuntimeError(f"{expected} requests were answered, but {logged} predictions are in the log")
    about = f"MLServer: {peer.why_not}"
    if peer.python is not None:
        about = "MLServer's environment: " + peers.versions(peer.python, (*MLSERVER, "uvicorn", "pydantic"))
    told = TOLD.format(widths="-".join(map(str, mlp.WIDTHS)), seconds=given.seconds, rounds=given.rounds, logged=logged)
    command = "python bench/serve.py" + (" --quick" if given.quick else "")
    made = page.provenance(command, [page.ROOT / "bench" / name for name in SCRIPTS], PACKAGES, [about])
    tables = (result_table(running, cells), RATIOS, ratio_table(running, cells))
    return "\n\n".join(("## Serving", told, *tables, made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure backstay serve beside its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round; MLServer only where --peers has it")
    parser.add_argument("--rounds", type=int, help="3 unless told otherwise")
    parser.add_argument("--seconds", type=float, help="seconds a cell; 3 unless told otherwise")
    parser.add_argument("--peers", type=Path, help="folder to keep the peers' environments in; a temporary one if not")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (1.0 if given.quick else 3.0)
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as scratch:
        text = report(given, Path(scratch))
    print(text)
    if not given.quick:
        page.write_section("serve", text)


if __name__ == "__main__":
    main()
