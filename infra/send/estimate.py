"""What a campaign will cost and how long it takes, before anything is spent; and what had to be assumed for that."""

from __future__ import annotations

from dataclasses import dataclass

from functions.guard_file import Spending
from functions.service_file import Configuration
from infra.bill import bill, total
from infra.load import BULK_BATCH, Load
from infra.send.tally import Place, Tally

BULK_SHARE = 0.9
"""Of an account's rate. The rest is kept for people who wait for a login code."""
INVOCATION = 2.0
"""Seconds of one. Assumed: half a second until the batch is full, the provider, and the way there and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    service: str
    region: str
    messages: int
    segments: int
    cost: int | None
    """Millionths of the currency; None where the file has no price for the country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    rows: list[Row]
    currency: str
    aws_usd: float
    """To take the file and send it. Receipts and checks come on top."""
    seconds: float
    rate: float
    """Messages a second on average."""
    reasons: list[str]
    """What the time follows from, the slowest first."""

    @property
    def cost(self) -> int:
        return sum(row.cost or 0 for row in self.rows)

    @property
    def unpriced(self) -> list[str]:
        return sorted({row.region for row in self.rows if row.cost is None})


def estimate(tally: Tally, configuration: Configuration, *, concurrency: int, most: float | None = None) -> Estimate:
    """`concurrency` is of the bulk sender, `most` what the operator lets out a second."""
    times = sorted(_times(tally, configuration, concurrency, most), reverse=True)
    seconds = times[0][0]
    return Estimate(
        rows=[_row(place, tally, configuration.spending) for place in sorted(tally.messages)],
        currency=configuration.spending.currency,
        aws_usd=_aws(tally, configuration),
        seconds=seconds,
        rate=tally.total / seconds,
        reasons=[reason for _, reason in times],
    )


def _row(place: Place, tally: Tally, spending: Spending) -> Row:
    """A price is of one SMS, and a long message is several."""
    service, region = place
    price, segments = spending.price(region), tally.segments[place]
    return Row(
        service=service,
        region=region,
        messages=tally.messages[place],
        segments=segments,
        cost=None if price is None else price * segments,
    )


def _times(tally: Tally, configuration: Configuration, concurrency: int, most: float | None) -> list[tuple[float, str]]:
    """Seconds that each bottleneck needs by itself: they work side by side, so the slowest decides."""
    throughput = concurrency * BULK_BATCH / INVOCATION
    sender = f"{concurrency} bulk senders with {BULK_BATCH} messages each, {INVOCATION:g} s at a time (assumed)"
    found = [(tally.total / throughput, sender)]
    for provider, messages in tally.by_provider.items():
        settings = configuration.providers.get(provider)
        if settings is not None and settings.rate is not None:
            own = f"{BULK_SHARE:g} of {provider}'s rate of {settings.rate:g} a second"
            found.append((messages / (BULK_SHARE * settings.rate), own))
    if most is not None:
        found.append((tally.total / most, f"--rate {most:g}"))
    return found


def _aws(tally: Tally, configuration: Configuration) -> float:
    """By the parts of ./salvo cost. Nobody's code is checked in it, and no receipt comes."""
    rated = sum(
        messages
        for provider, messages in tally.by_provider.items()
        if (settings := configuration.providers.get(provider)) is not None and settings.rate is not None
    )
    load = Load(
        verifications=tally.total,
        bulk=1.0,
        resends=0.0,
        checks=0.0,
        receipts=False,
        rated=rated / tally.total,
        gateway_latency=INVOCATION,
    )
    return total(bill(load, sms_price=0.0).by_use)
