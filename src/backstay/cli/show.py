"""What a person sees: results in plain words, intervals beside every figure."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backstay.cli.arithmetic import arithmetic
from backstay.kernel.records import (
    Cell,
    Condition,
    Estimate,
    Interval,
    Located,
    Measurement,
    Release,
    Severity,
    Verdict,
    WindowResult,
)

if TYPE_CHECKING:
    from backstay.kernel.transfer import Transfer
    from backstay.loop.adopt import Adopted
    from backstay.loop.audit import Audited
    from backstay.loop.forget import Forgotten
    from backstay.loop.gating import Offered
    from backstay.loop.keys import CreatedKey, ListedKey
    from backstay.loop.label import Labelled, Queue
    from backstay.loop.look import History, Status, Verified
    from backstay.loop.notify import Message, Notified
    from backstay.loop.outstanding import Past
    from backstay.loop.predict import Predicted
    from backstay.loop.record import Logged
    from backstay.loop.report import Reported
    from backstay.loop.setup import Begun
    from backstay.loop.sign import FreshKey, Signed
    from backstay.loop.watch import Watched

UNTOLD = ("record", "policy", "report", "model", "environment")
"""What the ledger keeps of an event and a reader of the history need not see."""
MARKS = {Condition.FINE: "+", Condition.MOVED: "~", Condition.WORSE: "!", Condition.UNKNOWN: "?"}


def say(line: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")


def as_json(value: Any) -> None:
    say(json.dumps(value, indent=2))


def announce(line: str) -> None:
    """What the server tells when it is ready, for a person."""
    event = json.loads(line)
    say(f"serving at {event['url']}" if event.get("event") == "serving" else line)
    sys.stdout.flush()


def announce_json(line: str) -> None:
    say(line)
    sys.stdout.flush()


def figure(m: Measurement) -> str:
    """A measurement as text: value, interval, n."""
    span = "no interval" if m.interval is None else f"{m.interval.low:.3f} to {m.interval.high:.3f}"
    where = f" [{m.slice}]" if m.slice else ""
    return f"{m.metric}{where} {m.value:.3f} ({span}, n={m.n})"


def adopted(value: Adopted) -> None:
    say(f"adopted {value.model.id} as release {value.release.sequence}: live, unmeasured by a gate")
    say(f"reference: {value.reference.rows} rows, {value.reference.id}")
    if value.report is not None and value.verdict is not None:
        measurements(value.report.measurements)
        verdict(value.verdict, "this model would pass the gate", "this model would not pass the gate")
    served = "`backstay serve`, or " if value.model.bundle is not None else ""
    say(f"next: {served}`backstay log FILE`, then `backstay watch`")


def measurements(found: Sequence[Measurement]) -> None:
    for m in found:
        if m.of == "model":
            say(f"  {figure(m)}")
    for m in found:
        if m.of != "model" and not m.slice:
            say(f"  {m.of:>18}: {figure(m)}")


def verdict(value: Verdict, yes: str = "the gate says yes", no: str = "the gate says no") -> None:
    say(f"{yes if value.passed else no} (policy {value.policy_digest[:12]}, measured on {value.data_id})")
    for outcome in value.outcomes:
        say(f"  {'pass  ' if outcome.passed else 'REFUSE'} {outcome.rule}: {outcome.message}")


def begun(value: Begun) -> None:
    for note in value.notes:
        say(f"  mind: {note}")
    say(f"wrote {value.file}; read it, then `backstay audit` and `backstay run`")


def offered(value: Offered) -> None:
    say(f"candidate {value.model.id}")
    measurements(value.report.measurements)
    for note in value.report.notes:
        say(f"  note: {note}")
    findings(value.report.findings)
    verdict(value.verdict)
    if value.verdict.passed:
        say(f"next: `backstay promote {value.model.id}`")


def findings(found: Sequence[Any]) -> None:
    order = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}
    for f in sorted(found, key=lambda f: order[f.severity]):
        say(f"  {f.severity.value:>6} {f.check}: {f.message}")
        say(f"         {f.fix}")


def released(value: Release) -> None:
    say(f"release {value.sequence} is live: {value.model_id} ({value.kind.value} by {value.actor}: {value.reason})")


def watched(value: Watched, *, explain: bool = False) -> None:
    if value.latest is None:
        say(value.nothing_yet)
        for note in value.notes:
            say(f"note: {note}")
        return
    if not value.windows:
        say(f"nothing new to judge: {value.waits}. The newest window:")
    for result in value.windows or (value.latest,):
        window(result)
    for note in value.notes:
        say(f"note: {note}")
    if value.requested:
        say(f"queued {len(value.requested)} rows for review: `backstay label --export queue.parquet`")
    if value.decision is not None:
        say(value.decision.headline)
        if explain:
            for line in arithmetic(value.decision):
                say(f"    {line}")
    if value.acted is not None:
        offered(value.acted)
    if value.promoted is not None:
        released(value.promoted)
    if value.page is not None:
        say(f"page: {value.page}")


def fresh_key(value: FreshKey) -> None:
    say(
        f"secret, for the environment of whoever signs; it is shown this once:\n    BACKSTAY_SIGNING_KEY={value.secret}"
    )
    say(f'public, for backstay.toml:\n    [signing]\n    trusted = ["{value.public}"]\n    require = true')


def signed(value: Signed) -> None:
    say(f"{value.model} signed with key {value.key}: {value.file}")
    if not value.trusted:
        say(f'this key is not trusted yet: put "{value.public}" into signing.trusted of backstay.toml')


def window(result: WindowResult) -> None:
    span = f"{result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}"
    say(f"{MARKS[result.condition]} {span}, {result.rows} rows: {result.condition.value}. {result.headline}")
    for signal in result.signals:
        mark = "ALARM" if signal.alarm else "quiet"
        say(f"    {mark} {signal.detector} ({signal.evidence:.2f} of its threshold): {signal.message}")
    if result.located is not None:
        located(result.located)
    for e in result.estimates:
        say(f"    {estimate(e)}")
    age = (
        "no standing label yet"
        if result.label_age_days is None
        else f"newest label {result.label_age_days:.0f} days old"
    )
    spent = f"{result.budget_spent:.2f} of {result.budget:g} expected false alarms used since this release"
    say(f"    {age}; alarm budget {spent}")
    for line in result.advice:
        say(f"    -> {line}")


def located(value: Located) -> None:
    say(f"    where: {value.headline}")
    for cell in value.cells:
        say(f"      {cell.line}{look_at(cell)}")
    if value.counted:
        say(f"      {value.counted}")


def look_at(cell: Cell) -> str:
    """Rows of the window to look at; of a cluster that shrank those of before are on the page."""
    return f"; look at {', '.join(cell.example_ids)}" if cell.grew else "; rows of before: `backstay watch --page`"


def estimate(e: Estimate) -> str:
    if e.value is None or e.interval is None:
        what, why = "" if e.metric == "accuracy" else f" of {e.metric}", "; ".join(e.refusals)
        instead = f" ({e.labels_needed} labels would replace it)" if e.labels_needed else ""
        return f"no {e.kind} estimate{what}: {why}{instead}"
    limits = f"{e.interval.low:.3f} to {e.interval.high:.3f}"
    if "anytime_low" in e.figures:
        limits += f"; however often you look, {e.figures['anytime_low']:.3f} to {e.figures['anytime_high']:.3f}"
    if e.figures.get("cut_share"):
        limits += f" with the {e.figures['cut_share']:.1%} of errors beyond {e.figures['cut_at']:.4g} taken as that"
    return f"{e.metric} {e.value:.3f} ({limits}), {e.kind}: {e.assumption}"


def logged(value: Logged) -> None:
    say(f"logged {value.rows} predictions from {value.first} to {value.last} for release {value.release}")
    for note in value.notes:
        say(f"note: {note}")


def queue(value: Queue) -> None:
    by_purpose: dict[str, int] = {}
    for request in value.requests:
        by_purpose[request.purpose] = by_purpose.get(request.purpose, 0) + 1
    say(f"{len(value.requests)} rows wait for a label" + "".join(f", {n} {p}" for p, n in sorted(by_purpose.items())))
    past(value.past)
    if value.note:
        say(value.note)
    if value.exported:
        say(f"written to {value.exported}: fill in `label`, then `backstay label --answers {value.exported}`")


def past(found: Sequence[Past]) -> None:
    """Requests that tell nothing of the live release, and how to be rid of them."""
    for former in found:
        say(f"  {former.sentence}")
    if found:
        say("  ask for them no more: `backstay label --close-past`")


def labelled(value: Labelled) -> None:
    if value.added or not value.feedback:
        trust = "trusted" if value.trusted else "untrusted: capped in training, never in gate rows"
        uses = ", ".join(f"{n} {use}" for use, n in sorted(value.by_use.items()))
        say(f"{value.added} labels added ({'; '.join(filter(None, (trust, uses)))}), {value.repeated} seen before")
    if value.contradicted:
        verb = "contradicts" if value.contradicted == 1 else "contradict"
        say(f"{value.contradicted} {verb} what this source said before, which stands")
    if value.feedback:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(value.feedback.items()))
        say(f"feedback added: {kinds}" + ("" if value.added else f"; {value.repeated} rows seen before"))
    for note in value.notes:
        say(f"note: {note}")
    if value.added and value.trusted and "standing" not in value.by_use:
        say("nobody drew their rows, so none of them tells how good the model is: `backstay label --request 50`")


def messages(value: Sequence[Message]) -> None:
    for message in value:
        say(f"{message.subject}: {message.headline}")
    say(f"{len(value)} messages would be sent" if value else "nothing to send")


def notified(value: Notified) -> None:
    for sent in value.delivered:
        say(f"sent: {sent}")
    for note in value.notes:
        say(f"note: {note}")
    if not value.delivered and not value.notes:
        say("nothing to send")


def transferred(value: Transfer) -> None:
    say(value.sentence)
    for cell in value.cells:
        cost = ""
        if cell.loss is not None and cell.loss.interval is not None:
            cost = f"; {_cost(cell.loss.difference, cell.loss.interval, value.metric)} against one learned there"
        beside = f"; nearest raw rows {cell.control.value:.3f}"
        say(f"  {cell.learned_on} -> {cell.judged_on}: {figure(cell.figure)}{beside}{cost}")
    for short in value.left_out:
        say(f"  left out, {short}")


def _cost(difference: float, span: Interval, metric: str) -> str:
    """A difference in points of a hundred where it is one of shares; above zero is better, of an error too."""
    if metric == "accuracy":
        return f"{difference * 100:+.1f} points ({span.low * 100:+.1f} to {span.high * 100:+.1f})"
    return f"{difference:+.3f} ({span.low:+.3f} to {span.high:+.3f}; above zero is better)"


def predicted(value: Predicted) -> None:
    say(
        f"answered {value.rows} rows"
        + (f" into {value.output}" if value.output else "")
        + (", logged" if value.logged else "")
    )


def audited(value: Audited) -> None:
    say(f"{value.rows} rows, {value.data_id}")
    findings(value.findings)
    high = len(value.blocking)
    say(f"{high} findings of high severity block the gate" if high else "nothing that would block the gate")


def history(value: History) -> None:
    for row in value.events:
        body = ", ".join(f"{k}={_short(v)}" for k, v in row.body.items() if k not in UNTOLD and v not in (None, [], ""))
        say(f"{row.seq:>5} {row.at:%Y-%m-%d %H:%M} {row.kind:<18} {row.actor}: {body}")


def _short(value: Any) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 90 else text[:87] + "..."


def reported(value: Reported) -> None:
    say(f"report: {value.page}")


def status(value: Status) -> None:
    say(f"{value.model} in {value.environment}")
    if value.champion is None:
        say("  nothing is live yet")
    else:
        say(f"  live: release {value.champion.sequence}, {value.champion.model_id} ({value.champion.kind.value})")
    last = value.last_window
    say("  never watched" if last is None else f"  last window to {last.end:%Y-%m-%d}: {last.condition.value}")
    say(f"  {value.logged_rows} predictions logged, {value.labels} labels, {value.open_requests} rows wait for review")
    past(value.past_requests)
    say(f"  ledger: {value.ledger_rows} rows, head {value.ledger_head[:16]}")


def verified(value: Verified) -> None:
    for problem in value.problems:
        say(f"PROBLEM {problem}")
    say("all sound" if value.sound else "NOT sound: see the problems above")
    say(f"ledger: {value.rows} rows, head {value.head}")
    say(f"{value.checked_bundles} bundles and {value.checked_data} reference data sets checked")


def keys(value: Sequence[ListedKey]) -> None:
    for k in value:
        state = "revoked" if k.revoked else ("until " + k.expires_at.isoformat() if k.expires_at else "no expiry")
        say(f"{k.name}  {k.id}  {', '.join(k.scopes)}  {state}")


def created_key(value: CreatedKey) -> None:
    sys.stderr.write("this is shown once; send it as `Authorization: Bearer ...`\n")
    say(value.token)


def forgotten(value: Forgotten) -> None:
    say(f"erased: {value.rows} predictions, {value.labels} labels, {value.requests} requests for a label")
    if value.gallery_rows:
        say(f"  {value.gallery_rows} rows of galleries")
    for old, new in value.replaced.items():
        say(f"  {old} held the subject; {new} stands in its place")
    for model in value.models:
        say(f"  {model} had seen it: retrain where that matters")
    for data_id in value.not_searched:
        say(f"  {data_id} has neither an id nor a group column: nobody can be found there")
    if value.held_by_servers:
        say(f"  {value.held_by_servers} log files are in use: hidden now, erased by `backstay gc` when the server ends")
    say("your own files and your backups were not touched: take the rows out there as well")


def facts(value: Mapping[str, Any]) -> None:
    for name, fact in value.items():
        if isinstance(fact, Mapping):
            facts({f"{name}.{inner}": value for inner, value in fact.items()})
        else:
            say(f"{name}: {fact}")
