"""Puts tables and plots into docs/scale.md: what stands between the two marks of a block is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.environments import ROOT
from infra.scale import experiments, plots
from infra.scale.check import Compared, Machine
from infra.scale.choosing import good_batch_size, good_concurrency, least_concurrency, most_concurrency
from infra.scale.costs import costs
from infra.scale.experiments import LATENCIES, RATES, SIZES
from infra.scale.limits import limits
from infra.scale.model import Fleet
from infra.scale.outcome import Run, quantile
from infra.scale.report import duration

PAGE = ROOT / "docs" / "scale.md"
_PLOTS = ROOT / "docs" / "scale"
_COST_RATE = 100.0
_CONCURRENCIES = (2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 60)
_SHARES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.09, 0.1, 0.11, 0.12)


class UnknownBlock(Exception):
    """The page has no place for it, and the message says for which."""


def write(blocks: Mapping[str, str], page: Path = PAGE, folder: Path = _PLOTS) -> None:
    """`blocks` are those that are there already, such as the check's."""
    folder.mkdir(exist_ok=True)
    times, limited = experiments.times(), experiments.by_rate(Fleet().table_units)
    charged = experiments.by_concurrency(_COST_RATE, _CONCURRENCIES, 50_000)
    logins = experiments.by_logins(_COST_RATE, _SHARES)
    plots.draw_times(times, folder / "times.svg")
    plots.draw_ramps(experiments.ramps(), folder / "concurrency.svg")
    plots.draw_costs(charged, _COST_RATE, folder / "costs.svg")
    plots.draw_logins(logins, folder / "logins.svg")
    plots.draw_limits(limited, folder / "limits.svg")
    made = {
        "times": _times_block(times),
        "choice": _choice_block(),
        "costs": _costs_block(times[1_000_000, 1_000.0]),
        "logins": _logins_block(logins),
        "broken": _broken_block(),
    }
    page.write_text(filled(page.read_text(encoding="utf-8"), {**made, **blocks}), encoding="utf-8")


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """Raises UnknownBlock."""
    for name, content in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise UnknownBlock(f"the page has no block {name!r}")
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


def check_block(machine: Machine, compared: Sequence[Compared]) -> str:
    rows = [
        [
            each.scenario.name,
            f"{each.scenario.codes:,}",
            f"{each.scenario.concurrency}",
            f"{each.real.seconds:.1f}",
            f"{each.simulated.seconds:.1f}",
            f"{each.simulated.seconds / each.real.seconds - 1:+.0%}",
            f"{each.real.peak} · {each.simulated.peak}",
            f"{each.real.came_back:,} · {each.simulated.counts.came_back:,}",
        ]
        for each in compared
    ]
    columns = ["", "codes", "BulkConcurrency", "real, s", "simulated, s", "error", "at once", "came again"]
    machine_line = (
        f"This machine: {machine.seconds_a_code * 1000:.1f} ms for a code where one invocation is alone,"
        f" {machine.codes_a_second:.0f} codes a second together. Of two figures the real one is the first.\n"
    )
    return f"{_table(columns, rows)}\n{machine_line}"


def _times_block(runs: Mapping[tuple[int, float], Run]) -> str:
    columns = ["codes", *(f"{rate:,.0f} a second" for rate in RATES)]
    rows = [[f"{codes:,}", *(duration(runs[codes, rate].seconds) for rate in RATES)] for codes in SIZES]
    chosen = ["BulkConcurrency", *(f"{runs[SIZES[0], rate].fleet.concurrency}" for rate in RATES)]
    used = ["of the rate for campaigns", *(f"{runs[SIZES[-1], rate].rate / (rate * 0.9):.0%}" for rate in RATES)]
    return _table(columns, [*rows, chosen, used])


def _choice_block() -> str:
    rows = []
    for rate in experiments.ALL_RATES:
        usual = Fleet(rates=(rate,))
        fleets = [Fleet(rates=(rate,), latency=latency, batch_size=good_batch_size(usual)) for latency in LATENCIES]
        rows.append(
            [
                f"{rate:,.0f}",
                f"{fleets[0].batch_size}",
                *(f"**{good_concurrency(fleet)}** ({least_concurrency(fleet):.1f})" for fleet in fleets),
                f"{most_concurrency(fleets[0]):,.1f}",
            ]
        )
    gateways = [f"gateway {latency.p50:g} s, p99 {latency.p99:g} s" for latency in LATENCIES]
    return _table(["rate", "batch size", *gateways, "at most"], rows)


def _costs_block(run: Run) -> str:
    lines = costs(run)
    rows = [[line.name, f"{line.quantity:,.0f}", line.price.unit, f"{line.usd:,.2f}"] for line in lines]
    whole = ["together", "", "", f"{sum(line.usd for line in lines):,.2f}"]
    return _table(["", "quantity", "", "US dollars"], [*rows, whole])


def _logins_block(found: Sequence[tuple[float, Run]]) -> str:
    rows = [
        [
            f"{share:.0%}",
            f"{quantile(run.logins.seconds, 0.99):.2f}",
            f"{quantile(run.logins.seconds_alone, 0.99):.2f}",
            f"{run.logins.refused:,}",
            f"{run.rate:.1f}",
        ]
        for share, run in found
    ]
    columns = [
        "logins, of the rate",
        "p99, s",
        "p99 without campaign, s",
        "without a place in time",
        "campaign, a second",
    ]
    return _table(columns, rows)


def _broken_block() -> str:
    rows = []
    for each in experiments.broken():
        run, first = each.run, limits(each.run)[0]
        rows.append(
            [
                each.name,
                duration(run.seconds),
                f"{run.counts.sent:,}",
                f"{run.counts.stale:,}",
                f"{run.counts.came_back:,}",
                f"{quantile(run.logins.seconds, 0.99):.2f}",
                f"{first.name}, {first.share:.0%}",
            ]
        )
    columns = ["", "takes", "sent", "too late", "came again", "login p99, s", "nearest limit"]
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
