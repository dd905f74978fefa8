"""What a run came to: a page of text for people, an object for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from infra.bill import Line, total
from infra.scale.choosing import good_batch_size, good_concurrency, least_concurrency, most_concurrency
from infra.scale.limits import Limit, limits
from infra.scale.outcome import Run, quantile

_TOLD_LIMITS = 4
_LARGE = 100
"""From here on nobody reads what is behind the point."""
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def as_text(run: Run, lines: Sequence[Line]) -> str:
    return "\n".join([*_what_came_of_it(run), "", *_what_it_costs(run, lines), "", *_what_is_near(run)]) + "\n"


def as_json(run: Run, lines: Sequence[Line]) -> str:
    counts = run.counts
    content = {
        "codes": run.fleet.codes,
        "seconds": round(run.seconds, 3),
        "sent": counts.sent,
        "stale": counts.stale,
        "dead": counts.dead,
        "came_back": counts.came_back,
        "invocations": counts.invocations,
        "peak_concurrency": run.peak,
        "write_units": round(run.write_units),
        "login_p99": quantile(run.logins.seconds, 0.99),
        "login_p99_without": quantile(run.logins.seconds_alone, 0.99),
        "logins_refused": run.logins.refused,
        "usd": {line.name: line.usd for line in lines},
        "limits": {limit.name: round(limit.share, 4) for limit in limits(run)},
        "bulk_concurrency": good_concurrency(run.fleet) if _has_rate(run) else None,
    }
    return json.dumps(content, indent=2) + "\n"


def duration(seconds: float) -> str:
    """In the two largest units: 3 h 5 min."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _what_came_of_it(run: Run) -> Iterator[str]:
    fleet, counts, logins = run.fleet, run.counts, run.logins
    rates = " + ".join(f"{rate:g}" for rate in fleet.rates)
    yield f"{fleet.codes:,} codes by accounts of {rates} a second, BulkConcurrency {fleet.concurrency}"
    yield f"takes            {duration(run.seconds)}: {run.rate:,.1f} a second"
    yield f"became of them   {counts.sent:,} sent, {counts.stale:,} too late, {counts.dead:,} dead letters"
    yield f"for nothing      {counts.came_back:,} deliveries, whose codes came again"
    yield f"Lambda           {counts.invocations:,} invocations, {run.peak:,} at once at the most"
    yield (
        f"login codes      p99 {quantile(logins.seconds, 0.99):.2f} s, without the campaign"
        f" {quantile(logins.seconds_alone, 0.99):.2f} s; {logins.refused:,} found no place in time"
    )


def _what_it_costs(run: Run, lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        decimals = 0 if line.quantity >= _LARGE else 2
        yield f"{line.name:<24}{line.quantity:>14,.{decimals}f} {line.price.unit:<14}{line.usd:>12,.2f}"
    each = total(lines) / run.counts.sent * 1_000_000 if run.counts.sent else math.inf
    yield f"{f'US dollars, {each:,.2f} for a million sent':<53}{total(lines):>12,.2f}"


def _what_is_near(run: Run) -> Iterator[str]:
    yield "nearest limits, in use:"
    yield from (_row(limit) for limit in limits(run)[:_TOLD_LIMITS])
    if _has_rate(run):
        yield (
            f"BulkConcurrency {good_concurrency(run.fleet)} would do: the rate is used from"
            f" {least_concurrency(run.fleet):.1f} on, and codes wait too long beyond {most_concurrency(run.fleet):.1f}"
        )
        if good_batch_size(run.fleet) < run.fleet.batch_size:
            yield f"such slow accounts want batches of {good_batch_size(run.fleet)} at the most"


def _row(limit: Limit) -> str:
    return f"  {limit.share:>6.0%}  {limit.name}: {limit.remedy}"


def _has_rate(run: Run) -> bool:
    return run.fleet.bulk_rate != math.inf
