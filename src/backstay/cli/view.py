"""What `backstay watch` draws on a terminal: how the model is, since when, what moved, what is known, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from backstay.cli.arithmetic import arithmetic
from backstay.cli.show import MARKS, estimate, look_at
from backstay.kernel.records import Condition, Estimate, Located, Signal, WindowResult

if TYPE_CHECKING:
    from backstay.loop.watch import Watched

COLOURS = {Condition.FINE: "green", Condition.MOVED: "yellow", Condition.WORSE: "bold red", Condition.UNKNOWN: "cyan"}
WINDOWS = 40
BAR = 24
FLOOR = 0.5
"""Where the drawn scale of an estimate begins, unless an interval goes lower."""
MOST_MOVED = 4


def draw(value: Watched, history: Sequence[WindowResult], *, explain: bool = False, footer: str = "") -> None:
    """Draw one look.

    Args:
        history: the windows of the live release, oldest first.
        footer: a last line, such as when the next look is.
    """
    Console(highlight=False).print(view(value, history, explain=explain, footer=footer))


def redraw(value: Watched, history: Sequence[WindowResult], *, explain: bool = False, footer: str = "") -> None:
    """Draw one look in the place of the one before."""
    console = Console(highlight=False)
    console.clear()
    console.print(view(value, history, explain=explain, footer=footer))


def view(value: Watched, history: Sequence[WindowResult], *, explain: bool = False, footer: str = "") -> RenderableType:
    """One look as something that rich can print."""
    if value.latest is None:
        notes = (Text(f"note: {note}", style="dim") for note in value.notes)
        return Group(Text(value.nothing_yet), *notes, *([Text(footer, style="dim")] if footer else []))
    latest = value.latest
    parts: list[RenderableType] = [_head(latest), Text(latest.headline, style=COLOURS[latest.condition])]
    if len(history) > 1:
        parts.append(_timeline(history))
    parts.append(_section("what is watched", _signals(latest.signals)))
    moved = [line for signal in latest.signals if signal.alarm for line in signal.moved[:MOST_MOVED]]
    if moved:
        parts.append(_section("what moved", Group(*(Text(f"- {line}") for line in moved))))
    if latest.located is not None:
        parts.append(_section("where it lies", _located(latest.located)))
    parts.append(_section("how good it is", _estimates(latest.estimates)))
    parts.append(_section("accounts", _accounts(value, latest)))
    doing = _doing(value, explain=explain)
    if doing:
        parts.append(_section("what to do", Group(*doing)))
    if footer:
        parts.append(Text(footer, style="dim"))
    return Group(*parts)


def _head(latest: WindowResult) -> Text:
    span = f"{latest.start:%Y-%m-%d} to {latest.end:%Y-%m-%d}, {latest.rows:,} rows"
    text = Text()
    text.append(f"{latest.model} in {latest.environment}  ", style="bold")
    text.append(f" {MARKS[latest.condition]} {latest.condition.value} ", style=f"reverse {COLOURS[latest.condition]}")
    text.append(f"  {span}", style="dim")
    return text


def _timeline(history: Sequence[WindowResult]) -> Text:
    """A mark a window, the newest at the right."""
    shown = history[-WINDOWS:]
    text = Text(f"{shown[0].start:%Y-%m-%d} ", style="dim")
    for window in shown:
        text.append(MARKS[window.condition], style=COLOURS[window.condition])
    return text.append(f" {shown[-1].end:%Y-%m-%d}", style="dim")


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold"), Padding(body, (0, 0, 0, 2)))


def _signals(signals: Sequence[Signal]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for signal in signals:
        style = "red" if signal.alarm else "green"
        share = f"{signal.evidence:.0%}" if signal.evidence < 10 else ">999%"
        table.add_row(signal.detector, _bar(signal.evidence, style), Text(share, style=style), Text(signal.message))
    return table


def _located(located: Located) -> RenderableType:
    """The clusters of rows that changed most, each with rows to look at."""
    lines = [Text(located.headline)]
    for cell in located.cells:
        lines.append(Text(f"- {cell.line}{look_at(cell)}"))
    if located.counted:
        lines.append(Text(located.counted, style="dim"))
    return Group(*lines)


def _bar(share: float, style: str) -> Text:
    """A bar that is full where the alarm is."""
    filled = round(BAR * min(max(share, 0.0), 1.0))
    text = Text("█" * filled, style=style)
    return text.append("░" * (BAR - filled), style="dim")


def _estimates(estimates: Sequence[Estimate]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for e in estimates:
        table.add_row(_interval(e), Text(estimate(e), style="" if e.value is not None else "dim"))
    return table


def _interval(e: Estimate) -> Text:
    """The interval on a scale from 50% to 100%, the value as a bar across it; blank where it is no share of one."""
    if e.value is None or e.interval is None or not 0.0 <= e.interval.low <= e.interval.high <= 1.0:
        return Text("·" * BAR, style="dim")
    floor = FLOOR if e.interval.low >= FLOOR else 0.0

    def place(value: float) -> int:
        return min(int((value - floor) / (1.0 - floor) * BAR), BAR - 1)

    low, high, at = place(e.interval.low), place(e.interval.high), place(e.value)
    letters = ["┃" if i == at else "━" if low <= i <= high else "·" for i in range(BAR)]
    text = Text("".join(letters), style="dim")
    text.stylize("not dim", low, high + 1)
    return text


def _accounts(value: Watched, latest: WindowResult) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    age = (
        "no standing label yet"
        if latest.label_age_days is None
        else f"newest label {latest.label_age_days:.0f} days old"
    )
    table.add_row("labels", Text(age))
    share = latest.budget_spent / latest.budget if latest.budget > 0 else 0.0
    said = Text(f"{latest.budget_spent:.2f} of {latest.budget:g} expected false alarms used")
    table.add_row("budget", Group(_bar(share, "blue"), said))
    table.add_row("pending", Text(value.waits))
    return table


def _doing(value: Watched, *, explain: bool) -> list[Text]:
    latest = value.latest
    lines = [Text(f"→ {line}") for line in (latest.advice if latest else ())]
    if value.requested:
        lines.append(Text(f"→ label {len(value.requested)} rows: backstay label --export queue.parquet"))
    if value.decision is not None:
        lines.append(Text(value.decision.headline))
        if explain:
            lines += [Text(f"    {line}", style="dim") for line in arithmetic(value.decision)]
    if value.acted is not None:
        verdict = "passed" if value.acted.verdict.passed else "refused"
        lines.append(Text(f"challenger {value.acted.model.id}: {verdict} by the gate"))
    if value.promoted is not None:
        lines.append(Text(f"release {value.promoted.sequence} is live", style="bold"))
    lines += [Text(f"note: {note}", style="dim") for note in value.notes]
    if value.page is not None:
        lines.append(Text(f"page: {value.page}", style="dim"))
    return lines
