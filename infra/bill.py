"""The bill: each part is a quantity of infra/usage.py times a price of infra/prices.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from infra import usage
from infra.load import Load
from infra.prices import PRICES, Price


@dataclass(frozen=True, slots=True)
class Part:
    """A line of the bill: quantity × price."""

    name: str
    price: str
    quantity: Callable[[Load], float]


BY_USE = (
    Part("HTTP API", "http_api_request", usage.http_requests),
    Part("Lambda, invocations", "lambda_request", usage.invocations),
    Part("Lambda, waiting for the gateway", "lambda_gb_second", usage.waiting),
    Part("Lambda, working", "lambda_gb_second", usage.working),
    Part("Lambda, cold starts", "lambda_gb_second", usage.starting),
    Part("Lambda, snapshots restored", "snapshot_gb_restored", usage.gigabytes_restored),
    Part("DynamoDB, writes", "dynamodb_write", usage.write_units),
    Part("DynamoDB, reads", "dynamodb_read", usage.read_units),
    Part("SQS", "sqs_request", usage.queue_requests),
    Part("Logs, written", "log_gb", usage.log_gigabytes),
    Part("Logs, kept", "log_gb_month", usage.log_gigabyte_months),
    Part("Data to the internet", "data_out_gb", usage.gigabytes_out),
    Part("X-Ray", "xray_trace", usage.traces),
)
BY_MONTH = (
    Part("Secrets", "secret", usage.secrets),
    Part("Secrets, looked up", "secret_call", usage.secret_calls),
    Part("SQS, asked while empty", "sqs_request", usage.idle_polls),
    Part("Metrics", "metric", usage.metrics),
    Part("Alarms", "alarm_metric", usage.alarm_metrics),
    Part("Dashboard", "dashboard", usage.dashboards),
    Part("Lambda, snapshots kept", "snapshot_gb_second", usage.snapshot_gigabyte_seconds),
    Part("KMS, your own key", "kms_key", usage.kms_keys),
    Part("KMS, calls", "kms_call", usage.kms_calls),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    name: str
    quantity: float
    price: Price
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    load: Load
    by_use: list[Line]
    by_month: list[Line]
    sms: Line

    @property
    def aws(self) -> float:
        return total(self.by_use) + total(self.by_month)


def bill(load: Load, prices: Mapping[str, Price] = PRICES, *, sms_price: float) -> Bill:
    price = Price(sms_price, 1, "SMS", "--sms-price")
    return Bill(
        load=load,
        by_use=_lines(BY_USE, load, prices),
        by_month=_lines(BY_MONTH, load, prices),
        sms=Line(name="SMS", quantity=load.messages, price=price, usd=price.of(load.messages)),
    )


def total(lines: Iterable[Line]) -> float:
    return math.fsum(line.usd for line in lines)


def of_a_million_starts(load: Load, prices: Mapping[str, Price]) -> dict[str, float]:
    """US dollars for starting a million by each way, with nothing else done."""
    only = replace(load, verifications=1_000_000, checks=0.0, resends=0.0, receipts=False)
    only = replace(only, queued=0.0, batched=0.0, bulk=0.0)
    ways = {
        "http": only,
        "queued": replace(only, queued=1.0),
        "batched": replace(only, batched=1.0),
        "bulk": replace(only, bulk=1.0),
    }
    return {way: total(_lines(BY_USE, started, prices)) for way, started in ways.items()}


def _lines(parts: Iterable[Part], load: Load, prices: Mapping[str, Price]) -> list[Line]:
    """Of the parts that are used at all."""
    counted = [(part, part.quantity(load)) for part in parts]
    return [
        Line(name=part.name, quantity=quantity, price=prices[part.price], usd=prices[part.price].of(quantity))
        for part, quantity in counted
        if quantity
    ]
