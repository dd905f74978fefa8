"""What a run costs: its quantities times the prices of infra/prices.py. What stands whether used or not is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.bill import Line
from infra.prices import PRICES, Price
from infra.scale.model import POST
from infra.scale.outcome import Run
from infra.scale.sqs import IN_A_CALL
from infra.scale.table import READ_UNITS
from infra.usage import METRICS_LINE, PLATFORM_LINES, SEND_LINE, SUBMISSION

API_SECONDS = 1.5
"""For a POST of a thousand codes: a hundred calls of SQS, several at a time. Assumed."""
POLLS = 10
"""How often somebody asks for a batch's progress. Assumed."""


def costs(run: Run, prices: Mapping[str, Price] = PRICES, *, sms_price: float = 0.0) -> Sequence[Line]:
    """In US dollars, those that are something. The SMS come last where they have a price."""
    lines = [_line(name, prices[price], quantity) for name, price, quantity in _quantities(run) if quantity]
    if sms_price:
        lines.append(_line("SMS", Price(sms_price, 1, "SMS", "--sms-price"), run.counts.sent))
    return lines


def _quantities(run: Run) -> Sequence[tuple[str, str, float]]:
    counts, posts = run.counts, -(-run.counts.posted // POST)
    gigabytes = run.fleet.memory / 1024
    requests = posts * (1 + POLLS)
    log = counts.deliveries * SEND_LINE + (counts.invocations + requests) * (METRICS_LINE + PLATFORM_LINES)
    return [
        ("HTTP API", "http_api_request", requests),
        ("Lambda, invocations", "lambda_request", counts.invocations + requests),
        ("Lambda, time", "lambda_gb_second", (counts.billed + posts * API_SECONDS) * gigabytes),
        ("DynamoDB, writes", "dynamodb_write", run.write_units + posts),
        ("DynamoDB, reads", "dynamodb_read", counts.deliveries * READ_UNITS),
        ("SQS", "sqs_request", _queue_requests(run)),
        ("Logs, written", "log_gb", log / 1e9),
        ("Data to the internet", "data_out_gb", counts.deliveries * SUBMISSION / 1e9),
    ]


def _queue_requests(run: Run) -> float:
    """Put, received, deleted or brought back: ten a call each."""
    return (run.counts.posted + 2 * run.counts.deliveries) / IN_A_CALL


def _line(name: str, price: Price, quantity: float) -> Line:
    return Line(name=name, quantity=quantity, price=price, usd=price.of(quantity))
