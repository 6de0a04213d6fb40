"""The ASGI application: a few routes, each with a declared scope. No path or URL of a client reaches a file."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any
from urllib.parse import urlsplit

import msgspec

from backstay.access.keys import Forbidden, KeyRecord, Unauthenticated, verify
from backstay.bundle.gallery import GalleryFile
from backstay.bundle.model import Outputs
from backstay.journal.entries import FAILURE, Feedback
from backstay.journal.writer import JournalFull, JournalWriter
from backstay.kernel.clock import Clock
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id
from backstay.serve.batcher import Batcher, Ticket
from backstay.serve.enhance import ImageAnswers
from backstay.serve.feedback import feedback_entries
from backstay.serve.live import Live, Loaded
from backstay.serve.loopback import is_loopback
from backstay.serve.metrics import Metrics
from backstay.serve.outside import outside_entries
from backstay.serve.prediction_log import prediction_entry
from backstay.serve.problems import Problem
from backstay.serve.protocol import answer, metadata, parse
from backstay.serve.search import Galleries
from backstay.serve.search_log import SearchLog
from backstay.settings import Settings

OUR_FAULT = 500
logger = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MODEL = re.compile(
    r"^/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>ready|infer|search|enhance|feedback|predictions))?/?$"
)
KINDS = ("application/json", "application/octet-stream", "")
HEADER_LENGTH = b"inference-header-content-length"
# The source of what the server itself says.
SERVER = "server"


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, and the length of the JSON part where binary tensors follow it."""

    status: int
    body: bytes
    kind: bytes = b"application/json"
    json_length: int | None = None


class App:
    """One server's routes over a live model, a batcher and a log."""

    def __init__(
        self,
        settings: Settings,
        live: Live,
        journal: JournalWriter,
        metrics: Metrics,
        clock: Clock,
        galleries: Callable[[], Mapping[str, GalleryFile]] = dict,
    ) -> None:
        self._settings = settings
        self._serve = settings.serve
        self._live = live
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._images = ImageAnswers(settings.name, self._serve.max_rows)
        keep = None
        if self._serve.log_searches:
            keep = SearchLog((settings.name, settings.environment), settings.data.target, journal, clock)
        most = (self._serve.max_neighbours, self._serve.max_rows)
        self._galleries = Galleries(settings.name, galleries, *most, keep)
        self._batcher = Batcher(
            self._record,
            metrics,
            max_rows=self._serve.max_batch_rows,
            refuse_unlogged=self._serve.on_log_failure == "refuse",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._batcher.close()
                self._live.stop()
                self._journal.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._route(scope, receive)
        except Problem as problem:
            reply = Reply(problem.status, msgspec.json.encode({"error": problem.text}))
        except Exception as error:
            told = str(error) if isinstance(error, BackstayError) else "the server failed; see its log"
            logger.exception("a request failed")
            reply = Reply(500, msgspec.json.encode({"error": told}))
        self._metrics.requests.labels(str(reply.status)).inc()
        headers = [(b"content-type", reply.kind), (b"content-length", str(len(reply.body)).encode())]
        if reply.json_length is not None:
            headers.append((HEADER_LENGTH, str(reply.json_length).encode()))
        if reply.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _route(self, scope: Scope, receive: Receive) -> Reply:
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        self._check_host(headers)
        if path == "/v2/health/live" and method == "GET":
            return _json({"live": True})
        if path == "/v2/health/ready" and method == "GET":
            return self._ready()
        if path in ("/v2", "/v2/") and method == "GET":
            self._allow(headers, "read", "predict")
            return _json(
                {"name": "backstay", "version": installed_version("backstay"), "extensions": ["binary_tensor_data"]}
            )
        if path == "/metrics" and method == "GET":
            self._allow(headers, "read")
            return Reply(200, self._metrics.text(), b"text/plain; version=0.0.4; charset=utf-8")
        found = MODEL.match(path)
        if found is None:
            raise Problem(404, f"there is nothing at {path[:200]}", "see docs/serving.md for the routes")
        model, version, verb = found["model"], found["version"], found["verb"]
        if model != self._settings.name:
            self._allow(headers, "read", "predict", "feedback")
            raise Problem(404, f"there is no model {model[:100]!r}", f"this server has {self._settings.name!r}")
        if verb == "feedback" and version is None:
            _only("POST", method)
            key = self._allow(headers, "feedback")
            return self._take_feedback(await self._body(headers, receive), key)
        if verb == "predictions" and version is None:
            _only("POST", method)
            self._allow(headers, "predict")
            return self._take_predictions(await self._body(headers, receive))
        if verb == "search":
            _only("POST", method)
            self._allow(headers, "search")
            loaded = self._loaded(version)
            body = await self._body(headers, receive)
            return _json(await self._galleries.answer(loaded, body, _length(headers), self._batcher))
        if verb == "enhance":
            _only("POST", method)
            self._allow(headers, "predict")
            loaded = self._loaded(version)
            body = await self._body(headers, receive)
            content, json_length = await self._images.answer(loaded, body, _length(headers))
            return Reply(200, content, _kind(json_length), json_length)
        if verb == "infer":
            _only("POST", method)
            self._allow(headers, "predict")
            loaded = self._loaded(version)
            return await self._count_failures(self._infer(loaded, headers, receive))
        self._allow(headers, "predict", "read")
        loaded = self._loaded(version)
        _only("GET", method)
        if verb == "ready":
            return _json({"name": model, "ready": True})
        return _json(metadata(loaded.model.manifest, model, sorted(self._live.warm, key=int)))

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Without keys, only pages that were asked for by a loopback name may ask: a web page elsewhere could not."""
        if self._serve.require_key:
            return
        name = urlsplit("//" + headers.get(b"host", b"localhost").decode("latin-1")).hostname or ""
        if not is_loopback(name):
            raise Problem(403, f"the host {name[:100]!r} is not this machine", "ask by 127.0.0.1 or localhost")

    def _ready(self) -> Reply:
        loaded, outside = self._live.current, self._live.outside
        ready = loaded is not None or outside is not None
        body: dict[str, Any] = {"ready": ready}
        if loaded is not None:
            body["version"] = loaded.version
        elif outside is not None:
            body["version"] = str(outside.release.sequence)
        if self._live.trouble is not None:
            body["trouble"] = self._live.trouble
        return Reply(200 if ready else 503, msgspec.json.encode(body))

    def _allow(self, headers: dict[bytes, bytes], *scopes: str) -> KeyRecord | None:
        """The key, if it has one of these scopes. None where the server asks for no key."""
        if not self._serve.require_key:
            return None
        given = headers.get(b"authorization", b"").decode("latin-1")
        other = headers.get(b"x-api-key", b"").decode("latin-1")
        token = given[7:].strip() if given[:7].lower() == "bearer " else other
        try:
            return verify(token, self._live.keys, self._clock.now(), *scopes)
        except Forbidden as error:
            raise Problem(403, error.what, error.fix) from error
        except Unauthenticated as error:
            raise Problem(401, error.what, error.fix) from error

    def _loaded(self, version: str | None) -> Loaded:
        loaded = self._live.find(version)
        if loaded is not None:
            return loaded
        if self._live.outside is not None:
            raise Problem(
                404,
                f"of model {self._settings.name!r} only predictions are known: it answers elsewhere",
                f"POST its answers to /v2/models/{self._settings.name}/predictions, with their ids",
            )
        if version is None:
            raise Problem(503, "no model is live yet", "promote one; the server will pick it up")
        warm = ", ".join(sorted(self._live.warm, key=int)) or "none"
        raise Problem(404, f"version {version[:100]!r} is not loaded", f"loaded are {warm}")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        if kind not in KINDS:
            raise Problem(415, f"the content type {kind[:100]!r} is not taken", "send application/json")
        most = self._serve.max_body_bytes
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "the client went away")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise Problem(413, f"the body has more than {most} bytes", "send several requests")
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _infer(self, loaded: Loaded, headers: dict[bytes, bytes], receive: Receive) -> Reply:
        began = time.perf_counter()
        body = await self._body(headers, receive)
        question = parse(body, _length(headers), loaded.model.manifest, max_rows=self._serve.max_rows)
        ids = question.ids or [event_id("p") for _ in range(question.rows)]
        outputs, logged = await self._batcher.ask(question, loaded, ids)
        parameters = {"prediction_ids": ids, "release": loaded.release.id, "logged": logged}
        content, json_length = answer(
            question,
            outputs,
            loaded.model.manifest,
            name=self._settings.name,
            version=loaded.version,
            parameters=parameters,
        )
        self._metrics.latency.observe(time.perf_counter() - began)
        return Reply(200, content, _kind(json_length), json_length)

    async def _count_failures(self, reply: Awaitable[Reply]) -> Reply:
        """Log a request that we failed to answer: what is never in the log of answers the monitor should see as well.

        A bad request is its caller's fault, and leaves nothing: nobody fills our disk by asking nonsense.
        """
        try:
            return await reply
        except Exception as error:
            status = error.status if isinstance(error, Problem) else 500
            if status < OUR_FAULT:
                raise
            at = int(self._clock.now().timestamp() * 1_000_000)
            scope = (self._settings.name, self._settings.environment)
            try:
                self._journal.append_feedback([Feedback(*scope, event_id("failed"), str(status), SERVER, at, FAILURE)])
            except JournalFull:
                logger.warning("a failed request could not be logged")
            raise

    def _record(self, answered: list[tuple[Ticket, Outputs]]) -> None:
        """Write a batch to the log."""
        at = int(self._clock.now().timestamp() * 1_000_000)
        self._journal.append_predictions([prediction_entry(*one, self._settings, at) for one in answered])

    def _take_predictions(self, body: bytes) -> Reply:
        """Log answers that were given elsewhere: all of a request, or none."""
        current, outside = self._live.current, self._live.outside
        if current is not None:
            release, classes = current.release, current.model.classes
        elif outside is not None:
            release, classes = outside.release, outside.classes
        else:
            raise Problem(503, "no model is live yet", "adopt or promote one; the server will pick it up")
        model, environment = self._settings.name, self._settings.environment
        entries = outside_entries(body, release, classes, model=model, environment=environment, now=self._clock.now())
        try:
            self._journal.append_predictions(entries)
        except JournalFull as error:
            raise Problem(507, f"the predictions could not be kept: {error.what}", error.fix) from error
        self._metrics.predictions.inc(len(entries))
        return _json({"accepted": len(entries), "release": release.id})

    def _take_feedback(self, body: bytes, key: KeyRecord | None) -> Reply:
        at = int(self._clock.now().timestamp() * 1_000_000)
        source = "anonymous" if key is None else key.source
        current = self._live.current
        task = self._settings.task if current is None else current.model.manifest.task
        scope = (self._settings.name, self._settings.environment)
        entries = feedback_entries(body, *scope, source=source, at=at, task=task)
        try:
            self._journal.append_feedback(entries)
        except JournalFull as error:
            raise Problem(507, f"the feedback could not be kept: {error.what}", error.fix) from error
        self._metrics.feedback.inc(len(entries))
        return _json({"accepted": len(entries)})


def _length(headers: dict[bytes, bytes]) -> int | None:
    given = headers.get(HEADER_LENGTH)
    if given is None:
        return None
    if not given.isdigit():
        raise Problem(400, f"Inference-Header-Content-Length is {given[:40]!r}", "send a whole number")
    return int(given)


def _only(wanted: str, method: str) -> None:
    if method != wanted:
        raise Problem(405, f"{method} is not for this address", f"use {wanted}")


def _kind(json_length: int | None) -> bytes:
    return b"application/json" if json_length is None else b"application/octet-stream"


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, msgspec.json.encode(value))
