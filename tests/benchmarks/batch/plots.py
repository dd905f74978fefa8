"""What was measured of batches, as drawings. The same figures give the same file, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from tests.benchmarks.batch.contestants import Contender
from tests.benchmarks.batch.tournament import TOO_LONG, Race, Results

_SIZE = (9.0, 5.0)
"""Inches."""
_OURS, _THEIRS = "o-", "x--"
_PLAIN = StrMethodFormatter("{x:,g}")
_HIGH = 0.8
"""Of a group of bars, where 1 is up to the next."""

Reading = Callable[[Contender, int], float | None]
Drawing = Callable[[Race, Results, Path], None]


def cpu(race: Race, results: Results, file: Path) -> None:
    def milliseconds(contender: Contender, codes: int) -> float | None:
        seconds = results.cpu(contender, codes)
        return None if seconds is None else seconds * 1e3

    figure, axes = _sheet("CPU for a code, gateway without latency", "milliseconds")
    _lines(axes, race, milliseconds)
    _save(figure, file)


def memory(race: Race, results: Results, file: Path) -> None:
    def megabytes(contender: Contender, codes: int) -> float | None:
        found = results.memory(contender, codes)
        return None if found is None else found / 1e6

    figure, axes = _sheet("Memory of a batch, gateway without latency", "MB more than before")
    _lines(axes, race, megabytes)
    _save(figure, file)


def wall(race: Race, results: Results, file: Path) -> None:
    """What is hatched is arithmetic."""
    figure, axes = _sheet(f"A whole batch, where the gateway takes {race.latency:g} s", "")
    for nth, codes in enumerate(race.sizes):
        _bars(axes, race, results, nth, codes)
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlim(left=1)
    axes.set_xlabel("seconds")
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.set_yticks(range(len(race.contenders)), [each.name for each in race.contenders])
    axes.invert_yaxis()
    axes.legend()
    _save(figure, file)


def _bars(axes: Axes, race: Race, results: Results, nth: int, codes: int) -> None:
    high = _HIGH / len(race.sizes)
    for place, contender in enumerate(race.contenders):
        seconds, waiting = results.wall(contender, codes), contender.takes(codes, race.latency)
        if seconds is None and waiting <= TOO_LONG:
            continue
        label = f"{codes:,} codes" if place == 0 else None
        at = place + (nth - (len(race.sizes) - 1) / 2) * high
        drawn = axes.barh(at, waiting if seconds is None else seconds, height=high, color=f"C{nth}", label=label)
        axes.bar_label(drawn, fmt="{:,.1f}", padding=2, fontsize="small")
        if seconds is None:
            drawn.patches[0].set_hatch("//")


def _lines(axes: Axes, race: Race, read: Reading) -> None:
    axes.set_prop_cycle(color=mpl.color_sequences["tab20"])
    for contender in race.contenders:
        points = [(codes, found) for codes in race.sizes if (found := read(contender, codes)) is not None]
        if points:
            style = _OURS if contender.module == "salvo" else _THEIRS
            axes.plot(*zip(*points, strict=True), style, label=contender.name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(race.sizes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_PLAIN)
        axis.set_minor_formatter(_PLAIN if axis is axes.yaxis else NullFormatter())
    axes.set_xlabel("codes at once")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _sheet(title: str, unit: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Figure, file: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "salvo"}):
        figure.savefig(file, metadata={"Date": None, "Creator": None})
