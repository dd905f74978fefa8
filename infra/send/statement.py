"""The estimate as it is shown before the question."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from functions.guard_file import MILLION
from infra.send.display import duration
from infra.send.estimate import Estimate

_MOST_ROWS = 40
_WIDTH = 100


def show(estimate: Estimate, warnings: Sequence[str]) -> None:
    console = Console(width=max(Console().width, _WIDTH), highlight=False)
    console.print(_table(estimate))
    for line in _lines(estimate):
        console.print(line, markup=False)
    if warnings:
        console.print("The guard would stop a part of it (docs/campaigns.md has what to do):", markup=False)
    for warning in warnings:
        console.print(f"  {warning}", markup=False)


def _table(estimate: Estimate) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("service", "country"):
        table.add_column(column)
    for column in ("messages", "SMS", estimate.currency):
        table.add_column(column, justify="right")
    rows = sorted(estimate.rows, key=lambda row: row.messages, reverse=True)
    for row in rows[:_MOST_ROWS]:
        cost = "no price" if row.cost is None else f"{row.cost / MILLION:,.2f}"
        table.add_row(escape(row.service), row.region, f"{row.messages:,}", f"{row.segments:,}", cost)
    rest = rows[_MOST_ROWS:]
    if rest:
        sums = (sum(row.messages for row in rest), sum(row.segments for row in rest))
        priced = sum(row.cost or 0 for row in rest) / MILLION
        table.add_row("", f"{len(rest)} more", *(f"{each:,}" for each in sums), f"{priced:,.2f}")
    return table


def _sms(estimate: Estimate) -> list[str]:
    if all(row.cost is None for row in estimate.rows):
        return ["SMS: nobody knows what they cost, for services.toml has no prices in [spending]"]
    cost = f"SMS: {estimate.cost / MILLION:,.2f} {estimate.currency}, by the prices of [spending] in services.toml"
    without = f"     without {', '.join(estimate.unpriced)}: the file has no price for them"
    return [cost, without] if estimate.unpriced else [cost]


def _lines(estimate: Estimate) -> list[str]:
    lines = [
        *_sms(estimate),
        f"AWS: {estimate.aws_usd:,.2f} USD, to take and send them; receipts and checks come on top",
    ]
    decisive, *others = estimate.reasons
    lines.append(f"Time: {duration(estimate.seconds)}, {estimate.rate:,.0f} a second: {decisive}")
    if others:
        lines.append(f"     quicker: {'; '.join(others)}")
    return lines
