"""The plots of docs/scale.md, as SVG that comes out alike each time: no date, no random names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infra.scale.limits import limits
from infra.scale.outcome import Run, quantile

_SIZE = (7.2, 3.8)
"""Inches."""
_SHOWN = 6
"""Limits: the others stay far away."""
_HOUR = 3_600.0


def draw_times(runs: Mapping[tuple[int, float], Run], file: Path) -> None:
    axes = _axes("codes a second that the account may send", "hours")
    for codes in sorted({codes for codes, _ in runs}):
        found = [(rate, run.seconds / _HOUR) for (size, rate), run in runs.items() if size == codes]
        axes.plot(*zip(*found, strict=True), marker="o", label=f"{codes:,} codes")
    axes.axhline(12, color="grey", linestyle=":", label="the longest batch_send_within")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _save(axes, file)


def draw_ramps(ramps: Sequence[tuple[str, Run]], file: Path) -> None:
    axes = _axes("seconds", "invocations at once")
    for name, run in ramps:
        axes.plot(*zip(*_thinned(run), strict=True), label=name)
    _save(axes, file)


def draw_costs(found: Sequence[tuple[int, Run, float]], rate: float, file: Path) -> None:
    axes = _axes(f"BulkConcurrency, for an account of {rate:g} a second", "US dollars for a million codes")
    axes.plot(
        [concurrency for concurrency, _, _ in found], [usd for _, _, usd in found], marker="o", label="AWS's bill"
    )
    beside = axes.twinx()
    used = [run.rate / run.fleet.bulk_rate * 100 for _, run, _ in found]
    beside.plot([concurrency for concurrency, _, _ in found], used, color="tab:orange", marker=".", linestyle="--")
    beside.set_ylabel("% of the rate in use (dashed)")
    beside.set_ylim(0, 105)
    axes.set_ylim(0)
    _save(axes, file, legend="lower right")


def draw_logins(found: Sequence[tuple[float, Run]], file: Path) -> None:
    axes = _axes("% of the account's rate that logins take", "seconds, p99 of a login's code")
    shares = [share * 100 for share, _ in found]
    axes.plot(shares, [quantile(run.logins.seconds, 0.99) for _, run in found], marker="o", label="beside a campaign")
    alone = [quantile(run.logins.seconds_alone, 0.99) for _, run in found]
    axes.plot(shares, alone, marker=".", label="without one")
    axes.set_ylim(0)
    _save(axes, file)


def draw_limits(found: Sequence[tuple[float, Run]], file: Path) -> None:
    axes = _axes("codes a second that the account may send", "% of the limit in use")
    shares: dict[str, list[float]] = {}
    for _, run in found:
        for limit in limits(run):
            shares.setdefault(limit.name, []).append(limit.share * 100)
    for name in sorted(shares, key=lambda name: -max(shares[name]))[:_SHOWN]:
        axes.plot([rate for rate, _ in found], shares[name], marker=".", label=name)
    axes.axhline(100, color="grey", linestyle=":")
    axes.set_xscale("log")
    axes.set_ylim(0, 200)
    _save(axes, file)


def _thinned(run: Run) -> Sequence[tuple[float, int]]:
    """A point a second: the most of it."""
    most: dict[int, int] = {}
    for when, busy in run.busy:
        most[int(when)] = max(most.get(int(when), 0), busy)
    return sorted(most.items())


def _axes(across: str, up: str) -> Axes:
    axes = Figure(figsize=_SIZE, layout="constrained").add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, alpha=0.3)
    return axes


def _save(axes: Axes, file: Path, *, legend: Literal["best", "lower right"] = "best") -> None:
    axes.legend(fontsize="small", loc=legend)
    figure = axes.figure
    with mpl.rc_context({"svg.hashsalt": "salvo", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})  # type: ignore[union-attr]
