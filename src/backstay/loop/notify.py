"""Tell people what happened: messages are read off the ledger, so that none is lost when the machine goes down.

Each wire has its own place in the ledger, moved on after each delivery. What cannot be delivered is tried again at the
next look, in order, until it is too old. A message may therefore come twice, with the same id, and never out of order.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from backstay.connect.mail import PASSWORD_VARIABLE, send
from backstay.connect.webhook import SECRET_VARIABLE, Secret, Undelivered, post
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError, Conflict, NotFound
from backstay.kernel.ids import digest, event_id
from backstay.kernel.records import Json, LedgerRow, WindowResult
from backstay.loop.lease import lease
from backstay.loop.workspace import Workspace

PAUSES = (1.0, 3.0)
"""Seconds before the second and third try of one look."""
MOST_WORDS = 80
_CHECK = "check the address and that it is up"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that happened, for people: names, figures and sentences; never a row.

    Args:
        id: the same at every try.
        seq: its row in the ledger; 0 for a test message.
        lines: what to know besides the headline, and what to do.
    """

    id: str
    event: str
    seq: int
    model: str
    environment: str
    headline: str
    at: datetime
    actor: str
    lines: tuple[str, ...] = ()
    facts: Json | None = None

    @property
    def body(self) -> bytes:
        """What is posted: the field's usual envelope of type, timestamp and data."""
        data = {k: v for k, v in encode(self).items() if k not in ("id", "event", "at")}
        told = {"type": f"backstay.{self.event}", "timestamp": self.at.isoformat(), "data": data}
        return json.dumps(told, ensure_ascii=False, sort_keys=True).encode()

    @property
    def subject(self) -> str:
        by = (self.facts or {}).get("detectors")
        whose = f" ({', '.join(by)})" if by else ""
        return f"[backstay] {self.model} in {self.environment}: {self.event.replace('_', ' ')}{whose}"

    @property
    def name(self) -> str:
        """What it was about, for a note: never what the receiver's address holds."""
        word = self.event.replace("_", " ")
        words = self.headline if len(self.headline) <= MOST_WORDS else f"{self.headline[:MOST_WORDS].rstrip()}..."
        return f'"{word}" of {self.at:%Y-%m-%d %H:%M} UTC ({self.id[:12]}: {words})'

    @property
    def text(self) -> str:
        return "\n".join(
            (self.headline, *(f"- {line}" for line in self.lines), "", f"{self.at:%Y-%m-%d %H:%M} UTC, by {self.actor}")
        )


@dataclass(frozen=True, slots=True)
class Notified:
    """What went out. `waiting`: messages that could not be delivered yet, over all wires."""

    delivered: tuple[str, ...] = ()
    waiting: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wire:
    """One way out. `name` is what people read; `key` is where its place in the ledger is kept."""

    name: str
    key: str
    send: Callable[[Message], None]


def begin(ws: Workspace) -> None:
    """Mark where each new wire starts: a webhook that is named today is not told the past."""
    fresh = [key for _, key in _named(ws) if ws.catalog.get_state(key) is None]
    if fresh:
        seq, _ = ws.ledger.head()
        with ws.ledger.transaction() as tx:
            for key in fresh:
                tx.set_state(key, {"seq": seq})


def deliver(ws: Workspace, *, pause: Callable[[float], None] = time.sleep) -> Notified:
    """Send what has happened since the last delivery. A wire that fails is a note, never an error: watching goes on."""
    if not _named(ws):
        return Notified()
    begin(ws)
    try:
        with lease(ws.ledger, f"notify/{ws.name}/{ws.environment}"):
            return _deliver(ws, pause)
    except Conflict:
        return Notified(
            notes=("another process is sending messages; what is new goes out with it or at the next look",)
        )


def send_test(ws: Workspace) -> Notified:
    """Send one message to every wire now, to see whether it arrives.

    Raises:
        BackstayError: nothing is named in [notify], or a wire did not take it.
    """
    wires = list(_wires(ws))
    if not wires:
        raise BackstayError(
            "nobody is named in [notify]", fix="set notify.webhooks or notify.mail.to in the project file"
        )
    now = ws.clock.now()
    message = Message(event_id("msg"), "test", 0, ws.name, ws.environment, "This is a test.", now, ws.actor)
    failed: list[tuple[str, BackstayError]] = []
    arrived = []
    for wire in wires:
        # One that fails keeps none of the others from being tried.
        try:
            wire.send(message)
            arrived.append(wire.name)
        except Undelivered as error:
            failed.append((f"{wire.name}: {error.why}", BackstayError(error.why, fix=_CHECK)))
        except BackstayError as error:
            failed.append((f"{wire.name}: {error.what}", error))
    if failed:
        rest = f"; it arrived by {', '.join(arrived)}" if arrived else ""
        fixes = dict.fromkeys(error.fix for _, error in failed)
        raise BackstayError("; ".join(what for what, _ in failed) + rest, fix="; ".join(fixes)) from failed[0][1]
    return Notified(tuple(f"{wire.name}: test" for wire in wires))


def waiting(ws: Workspace) -> list[Message]:
    """What would go out now, over any wire, oldest first."""
    marks = [_place(ws, key) for _, key in _named(ws)]
    return [] if not marks else list(_messages(ws, min(marks)))


def _deliver(ws: Workspace, pause: Callable[[float], None]) -> Notified:
    sent: list[str] = []
    notes: list[str] = []
    left = 0
    for wire in _wires(ws):
        found = list(_messages(ws, _place(ws, wire.key)))
        for position, message in enumerate(found):
            why = _try(wire, message, pause)
            if why is None:
                sent.append(f"{wire.name}: {message.event}")
            elif not _too_old(ws, message):
                left += len(found) - position
                others = f" and {len(found) - position - 1} after it" if len(found) > position + 1 else ""
                notes.append(
                    f"the message {message.name}{others} could not be delivered by {wire.name} and is tried again at "
                    f"the next look: {why}"
                )
                break
            else:
                _give_up(ws, wire, message, why)
                hours = f"{ws.settings.notify.give_up_hours:g} hours"
                notes.append(f"the message {message.name} was given up after {hours}: {wire.name}: {why}")
            _move_on(ws, wire.key, message.seq)
    return Notified(tuple(sent), left, tuple(notes))


def _try(wire: Wire, message: Message, pause: Callable[[float], None]) -> str | None:
    """Send it; answers why it did not arrive."""
    for seconds in (*PAUSES, None):
        try:
            wire.send(message)
        except Undelivered as error:
            if seconds is None or not error.again:
                return error.why
            pause(seconds)
        except BackstayError as error:
            return str(error)
        else:
            return None
    raise AssertionError("the last try ends the loop")


def _too_old(ws: Workspace, message: Message) -> bool:
    now = ws.clock.now()
    return message.at < now - timedelta(hours=ws.settings.notify.give_up_hours)


def _give_up(ws: Workspace, wire: Wire, message: Message, why: str) -> None:
    with ws.ledger.transaction() as tx:
        tx.append(
            "undelivered", {"message": message.id, "row": message.seq, "to": wire.name, "why": why}, actor=ws.actor
        )


def _place(ws: Workspace, key: str) -> int:
    state = ws.catalog.get_state(key)
    return 0 if state is None else int(state["seq"])


def _move_on(ws: Workspace, key: str, seq: int) -> None:
    with ws.ledger.transaction() as tx:
        tx.set_state(key, {"seq": seq})


def _named(ws: Workspace) -> list[tuple[str, str]]:
    """Name and key of every wire, without asking for its secret."""
    prefix = f"notified/{ws.name}/{ws.environment}"
    urls = ws.settings.notify.webhooks
    hosts = [urlsplit(url).hostname for url in urls]
    # Of an address only the host is told: its path may hold a secret of the receiver's. Where two are of one host, its
    # place in the project file says which is meant.
    places = [f" (number {i} of notify.webhooks)" if hosts.count(h) > 1 else "" for i, h in enumerate(hosts, 1)]
    names = (f"webhook {host}{place}" for host, place in zip(hosts, places, strict=True))
    found = [(name, f"{prefix}/{digest(url)[:16]}") for name, url in zip(names, urls, strict=True)]
    if ws.settings.notify.mail.to:
        found.append(("mail", f"{prefix}/mail"))
    return found


def _wires(ws: Workspace) -> Iterator[Wire]:
    """Every wire. Its secret is asked for when something is sent, so that one without does not hold up the others."""
    names = _named(ws)
    for url, (name, key) in zip(ws.settings.notify.webhooks, names, strict=False):
        yield Wire(name, key, _posting(ws, url))
    if ws.settings.notify.mail.to:
        yield Wire(*names[-1], _mailing(ws))


def _posting(ws: Workspace, url: str) -> Callable[[Message], None]:
    def send_it(message: Message) -> None:
        text = os.environ.get(SECRET_VARIABLE)
        if not text:
            raise BackstayError(
                f"notify.webhooks names receivers and {SECRET_VARIABLE} is empty",
                fix="set the secret that you share with the receiver; unsigned messages are not sent",
            )
        secret = Secret.parse(text)
        # The real time, not the injected one: receivers refuse what is older than some minutes.
        now, private = int(time.time()), ws.settings.notify.allow_private
        post(url, message.id, message.body, secret=secret, timestamp=now, allow_private=private)

    return send_it


def _mailing(ws: Workspace) -> Callable[[Message], None]:
    def send_it(message: Message) -> None:
        password = os.environ.get(PASSWORD_VARIABLE)
        settings = ws.settings.notify.mail
        send(settings, message.id, message.subject, message.text, at=ws.clock.now(), password=password)

    return send_it


def _messages(ws: Workspace, after: int) -> Iterator[Message]:
    """What the ledger says of this model and environment, as far as the project file wants it told."""
    ours = {release.id for release in ws.catalog.releases(ws.name, ws.environment)}
    for row in ws.ledger.rows(after=after):
        release = row.body.get("release", row.body.get("previous"))
        if row.kind in ws.settings.notify.events and release in ours and not _told_with_another(ws, row):
            yield _message(ws, row)


def _window(ws: Workspace, row: LedgerRow) -> WindowResult | None:
    try:
        return ws.catalog.get("window", str(row.body["window"]), WindowResult)
    except NotFound:
        return None


def _told_with_another(ws: Workspace, row: LedgerRow) -> bool:
    """Whether this alarm is of a window whose first alarm is told with all the others: one window, one message."""
    if row.kind != "alarm":
        return False
    window = _window(ws, row)
    return window is not None and row.body.get("detector") in window.new_alarms[1:]


def _message(ws: Workspace, row: LedgerRow) -> Message:
    headline, lines, facts = _told(ws, row)
    return Message(
        id=f"msg_{row.hash[:32]}",
        event=row.kind,
        seq=row.seq,
        model=ws.name,
        environment=ws.environment,
        headline=headline,
        at=row.at,
        actor=row.actor,
        lines=lines,
        facts=facts,
    )


def _told(ws: Workspace, row: LedgerRow) -> tuple[str, tuple[str, ...], Json]:
    body = row.body
    if row.kind in ("alarm", "worse"):
        facts: Json = {k: body[k] for k in ("detector", "window", "release") if k in body}
        window = _window(ws, row)
        if window is None:
            return str(body["headline"]), (), facts
        if row.kind == "alarm":
            facts["detectors"] = list(window.new_alarms)
        span = {"start": window.start.isoformat(), "end": window.end.isoformat(), "rows": window.rows}
        return window.headline, window.advice, {**facts, **span, "condition": window.condition.value}
    facts = {k: body[k] for k in ("candidate", "release", "previous", "verdict", "to") if body.get(k) is not None}
    candidate, reason = body.get("candidate"), body.get("reason") or "no reason was given"
    if row.kind == "rollback_refused":
        return f"Going back to model {candidate} was refused: {body['why']}.", (str(reason),), facts
    if row.kind == "challenger":
        said = "passed the gate and waits for `backstay promote`" if body["passed"] else "was refused by the gate"
        return f"A challenger was trained: model {candidate} {said}.", (str(body["why"]),) if body["why"] else (), facts
    word = {"adopted": "was adopted", "promoted": "was promoted", "rollback": "is live again after a rollback"}
    return f"Model {candidate} {word[row.kind]}: {reason}.", (), facts
