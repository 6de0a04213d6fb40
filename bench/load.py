"""A load client: raw connections kept alive, one fixed request, as fast as the answers come.

It parses no more of an answer than its status and its length, so that it takes little of the machine from the server.

    python bench/load.py http://127.0.0.1:8080/v2/models/mlp/infer body.json --concurrency 16 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

DRAIN_SECONDS = 10.0


class LoadError(Exception):
    """The server did not answer as a measurement needs it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one burst of load saw. Seconds: `seconds` of the whole burst, `latencies` of each answer, sorted."""

    seconds: float
    latencies: tuple[float, ...]

    @property
    def answers(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def quantile(self, share: float) -> float:
        """The latency in seconds that this share of the answers does not exceed (nearest rank)."""
        rank = min(self.answers - 1, max(0, round(share * self.answers + 0.5) - 1))
        return self.latencies[rank]


class Caller(asyncio.Protocol):
    """One connection: sends the request again as soon as it is answered, until the time is up."""

    def __init__(self, request: bytes, until: float, latencies: list[float], done: asyncio.Future[None]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._done = done
        self._received = b""
        self._missing = -1
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._missing >= 0:
            self._missing -= len(data)
        else:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._received[:end].lower()
            if b" 200 " not in head[:16]:
                self._fail(LoadError(f"the server answered {self._received[:300]!r}"))
                return
            self._missing = _length(head) - (len(self._received) - end - 4)
        if self._missing < 0:
            self._fail(LoadError("the answer is longer than it said"))
        elif self._missing == 0:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(LoadError(f"the server closed the connection ({exc})"))

    def _answered(self) -> None:
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until:
            self._ask()
            return
        if not self._done.done():
            self._done.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        self._received, self._missing = b"", -1
        self._sent = time.perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)

    def _fail(self, error: LoadError) -> None:
        if not self._done.done():
            self._done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise LoadError("the answer has no content-length, which this client needs")


def request_bytes(url: str, body: bytes, key: str | None = None) -> bytes:
    """The POST request, whole, as it goes over the wire each time."""
    where = urlsplit(url)
    lines = [f"POST {where.path} HTTP/1.1", f"host: {where.netloc}", "content-type: application/json"]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def drive(url: str, body: bytes, *, concurrency: int, seconds: float, key: str | None = None) -> Load:
    """Load a server from this many connections for this long.

    Raises:
        LoadError: an answer other than 200, a lost connection, or silence.
    """
    request = request_bytes(url, body, key)
    where = urlsplit(url)
    host, port = where.hostname or "127.0.0.1", where.port or 80

    async def burst() -> Load:
        loop = asyncio.get_running_loop()
        latencies: list[float] = []
        done: list[asyncio.Future[None]] = [loop.create_future() for _ in range(concurrency)]
        began = time.perf_counter()
        until = began + seconds
        for future in done:

            def caller(mine: asyncio.Future[None] = future) -> Caller:
                return Caller(request, until, latencies, mine)

            await loop.create_connection(caller, host, port)
        try:
            await asyncio.wait_for(asyncio.gather(*done), seconds + DRAIN_SECONDS)
        except TimeoutError as error:
            raise LoadError(f"no answer within {DRAIN_SECONDS:g} seconds") from error
        return Load(time.perf_counter() - began, tuple(sorted(latencies)))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(burst())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("body", type=Path, help="file with the body of the request")
    parser.add_argument("--key")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    seen = drive(
        given.url, given.body.read_bytes(), concurrency=given.concurrency, seconds=given.seconds, key=given.key
    )
    print(
        f"{seen.answers} answers, {seen.rate:.0f}/s, "
        f"p50 {seen.quantile(0.5) * 1e3:.2f} ms, p99 {seen.quantile(0.99) * 1e3:.2f} ms"
    )


if __name__ == "__main__":
    main()
