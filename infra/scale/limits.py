"""Where it breaks: how near a run came to each limit, the nearest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.scale.choosing import least_concurrency, most_concurrency
from infra.scale.outcome import Run
from infra.scale.sqs import MOST_HANDED_OUT
from infra.scale.table import MIXED, PARTITION, PROGRESS_UNITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    name: str
    share: float
    """How much of it was used: from 1 on something waits, comes back or is lost."""
    remedy: str


def limits(run: Run) -> Sequence[Limit]:
    """All but the accounts' rates themselves, which are what a fleet is to use up."""
    return sorted((*_of_the_fleet(run), *_of_the_queue(run), *_of_the_table(run)), key=lambda limit: -limit.share)


def _of_the_fleet(run: Run) -> Iterator[Limit]:
    fleet = run.fleet
    if fleet.bulk_rate != float("inf"):
        yield Limit(
            name="concurrency for the rate",
            share=least_concurrency(fleet) / fleet.usable_concurrency,
            remedy="a greater BulkConcurrency, more memory, or a faster gateway",
        )
        yield Limit(
            name="waiting for a place",
            share=max(fleet.usable_concurrency / most_concurrency(fleet), 1.01 * (run.counts.refused_places > 0)),
            remedy="a smaller BulkConcurrency or batch size",
        )
        yield Limit(
            name="the rate's share for logins",
            share=fleet.logins / (sum(fleet.rates) * (1 - fleet.bulk_share)),
            remedy="a greater rate: beyond a tenth of it logins take the campaign's part",
        )
    yield Limit(
        name="the AWS account's concurrency",
        share=(fleet.concurrency + fleet.logins * fleet.latency.p50) / fleet.account_concurrency,
        remedy="ask AWS for more, or a smaller BulkConcurrency",
    )


def _of_the_queue(run: Run) -> Iterator[Limit]:
    fleet, counts = run.fleet, run.counts
    yield Limit(
        name="freshness",
        share=max(counts.oldest / fleet.fresh_for, 1.01 * (counts.stale > 0)),
        remedy="a longer batch_send_within, or post no faster than is sent, as ./salvo send does",
    )
    yield Limit(
        name="deliveries of a message",
        share=max(counts.most_delivered / fleet.most_deliveries, 1.01 * (counts.dead > 0)),
        remedy="a gateway that takes them; what still comes to nothing is a dead letter",
    )
    yield Limit(
        name="messages handed out",
        share=counts.most_handed_out / MOST_HANDED_OUT,
        remedy="a smaller BulkConcurrency or batch size",
    )


def _of_the_table(run: Run) -> Iterator[Limit]:
    fleet, counts = run.fleet, run.counts
    seconds = run.seconds or 1.0
    yield Limit(
        name="the table's write units",
        share=max(run.busiest_write_second / fleet.table_units, 1.01 * (counts.throttled > 0)),
        remedy="WarmThroughput before the campaign, or a smaller BulkConcurrency",
    )
    yield Limit(
        name="an account's schedule, one item",
        share=(counts.place_writes / seconds + fleet.logins) / len(fleet.rates) / PARTITION,
        remedy="more accounts",
    )
    yield Limit(
        name="a batch's progress, one item",
        share=counts.progress_writes * PROGRESS_UNITS / seconds / MIXED / PARTITION,
        remedy="smaller batches",
    )
    yield Limit(
        name="a country's counter, one item",
        share=counts.invocations / seconds / PARTITION,
        remedy="greater batches: each writes to it once",
    )
