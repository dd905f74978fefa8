"""What AWS asks for: list prices in US dollars for us-east-1, before any free allowance, discount or tax.

Where each is from, as looked up on 2026-11-26. Regions differ: Seoul's logs cost half as much again.
- PRICE_LIST: AWS's price list of September 2026, as two public repositories have copied it, independently and alike.
- PRICING_PAGE: AWS's pricing page, as public copies of 2026 quote it.
- SECOND_HAND: what many public projects of 2025 and 2026 calculate with, all alike. AWS's own page could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

PRICE_LIST, PRICING_PAGE, SECOND_HAND = "price list", "pricing page", "second hand"


class UnknownPrice(Exception):
    """The message says which there are."""


@dataclass(frozen=True, slots=True)
class Price:
    usd: float
    per: int
    """How many units that buys."""
    unit: str
    source: str

    def of(self, quantity: float) -> float:
        return quantity / self.per * self.usd

    def __str__(self) -> str:
        cents_or_less = f"{self.usd:.10f}".rstrip("0")
        amount = cents_or_less if self.usd < 1 and len(cents_or_less) > len("0.00") else f"{self.usd:.2f}"
        return f"${amount} for {self.per:,}" if self.per > 1 else f"${amount}"


_MILLION = 1_000_000

PRICES: Mapping[str, Price] = {
    "http_api_request": Price(1.00, _MILLION, "requests", PRICE_LIST),
    "lambda_request": Price(0.20, _MILLION, "invocations", PRICE_LIST),
    "lambda_gb_second": Price(0.0000166667, 1, "GB-seconds", PRICE_LIST),
    "snapshot_gb_second": Price(0.0000015046, 1, "GB-seconds kept", PRICE_LIST),
    "snapshot_gb_restored": Price(0.0001397998, 1, "GB restored", PRICE_LIST),
    "dynamodb_write": Price(0.625, _MILLION, "write units", PRICE_LIST),
    "dynamodb_read": Price(0.125, _MILLION, "read units", PRICE_LIST),
    "sqs_request": Price(0.40, _MILLION, "requests", SECOND_HAND),
    "secret": Price(0.40, 1, "secrets", PRICE_LIST),
    "secret_call": Price(0.05, 10_000, "calls", PRICE_LIST),
    "log_gb": Price(0.50, 1, "GB", PRICE_LIST),
    "log_gb_month": Price(0.03, 1, "GB-months", PRICE_LIST),
    "metric": Price(0.30, 1, "metrics", PRICING_PAGE),
    "alarm_metric": Price(0.10, 1, "metrics watched", PRICE_LIST),
    "dashboard": Price(3.00, 1, "dashboard", PRICING_PAGE),
    "kms_key": Price(1.00, 1, "key", SECOND_HAND),
    "kms_call": Price(0.03, 10_000, "calls", SECOND_HAND),
    "xray_trace": Price(5.00, _MILLION, "traces", SECOND_HAND),
    "data_out_gb": Price(0.09, 1, "GB", PRICE_LIST),
}


def with_own(overrides: Mapping[str, float], prices: Mapping[str, Price] = PRICES) -> Mapping[str, Price]:
    """The prices, with others in dollars in place of some. Raises UnknownPrice."""
    if unknown := sorted(overrides.keys() - prices.keys()):
        raise UnknownPrice(f"there is no price {', '.join(unknown)}; there are {', '.join(prices)}")
    return {**prices, **{name: replace(prices[name], usd=usd) for name, usd in overrides.items()}}
