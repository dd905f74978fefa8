"""./salvo cost: what a month of verifications costs on AWS, part by part, for the operator's own numbers."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields

from infra.bill import Bill, Line, bill, of_a_million_starts, total
from infra.environments import say
from infra.load import Load
from infra.prices import PRICES, UnknownPrice, with_own

SMS_PRICE = 0.0079
"""US dollars. An example and nobody's offer: it is an order of magnitude more in many countries."""

_DEFAULT = Load()
_LONGEST_LATENCY = 8.0
"""Seconds that the functions wait for a gateway."""
_LARGE = 100
"""From here on nobody reads what is behind the point."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_traffic(parser)
    _add_providers(parser)
    _add_stack(parser)
    parser.add_argument(
        "--sms-price",
        type=_amount,
        default=SMS_PRICE,
        metavar="USD",
        help=f"of one SMS, as your provider says ({SMS_PRICE})",
    )
    parser.add_argument(
        "--price",
        type=_own_price,
        action="append",
        default=[],
        metavar="NAME=USD",
        help="another price than the list's",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.epilog = "Prices: " + ", ".join(f"{name} ({price})" for name, price in PRICES.items())


def main(arguments: argparse.Namespace) -> int:
    load = Load(**{field.name: getattr(arguments, field.name) for field in fields(Load)})
    if load.queued + load.batched + load.bulk > 1:
        say("--queued, --batched and --bulk are shares of the same starts: together they are at most 1")
        return 1
    try:
        prices = with_own(dict(arguments.price))
    except UnknownPrice as error:
        say(str(error))
        return 1
    found = bill(load, prices, sms_price=arguments.sms_price)
    ways = of_a_million_starts(load, prices)
    sys.stdout.write(_as_json(found, ways) if arguments.json else "\n".join(_as_text(found, ways)) + "\n")
    return 0


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verifications",
        type=_count(1, 10**12),
        default=_DEFAULT.verifications,
        metavar="N",
        help=f"in a month ({_DEFAULT.verifications})",
    )
    _share_option(parser, "--queued", "share of starts with Prefer: respond-async, 0 to 1")
    _share_option(parser, "--batched", "share of starts that you put on the queue yourself, 0 to 1")
    _share_option(parser, "--bulk", "share of starts in batches of a thousand, as ./salvo send makes them, 0 to 1")
    parser.add_argument(
        "--batch-size",
        type=_count(1, 10),
        default=_DEFAULT.batch_size,
        metavar="N",
        help="messages that the sender finds at once (10)",
    )
    _share_option(parser, "--returning", "share of starts for numbers that had one within a day, 0 to 1")
    _share_option(parser, "--idempotent", "share of starts over HTTP with an Idempotency-Key, 0 to 1")
    parser.add_argument(
        "--resends", type=_amount, default=_DEFAULT.resends, metavar="N", help="for each verification (0.1)"
    )
    parser.add_argument(
        "--checks", type=_amount, default=_DEFAULT.checks, metavar="N", help="for each verification (1.1)"
    )
    parser.add_argument(
        "--receipts",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULT.receipts,
        help="does the gateway report on each message?",
    )
    parser.add_argument(
        "--guard",
        action=argparse.BooleanOptionalAction,
        default=_DEFAULT.guard,
        help="is the guard on, and told the end user's address?",
    )


def _add_providers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--providers", type=_count(1, 15), default=_DEFAULT.providers, metavar="N", help="that messages go by (1)"
    )
    _share_option(parser, "--rated", "share of messages by a provider that has a rate in services.toml, 0 to 1")
    _share_option(parser, "--learning", "share of messages by a provider that is told of approvals, 0 to 1")
    _share_option(parser, "--confirmed", "share of messages of services with confirm_within, 0 to 1")


def _add_stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway-latency",
        type=_latency,
        default=_DEFAULT.gateway_latency,
        metavar="S",
        help="seconds that the gateway takes (0.3)",
    )
    parser.add_argument(
        "--memory", type=_count(128, 10240), default=_DEFAULT.memory, metavar="MB", help="of each function (512)"
    )
    _share_option(parser, "--cold-starts", "share of invocations, 0 to 1")
    parser.add_argument(
        "--log-retention",
        type=_count(1, 3653),
        default=_DEFAULT.log_retention,
        metavar="DAYS",
        help="the stack's LogRetention (30)",
    )
    parser.add_argument("--kms", action="store_true", help="a KMS key of your own (KmsKeyArn)")
    parser.add_argument("--tracing", action="store_true", help="X-Ray (Tracing=Active)")
    parser.add_argument("--snap-start", action="store_true", help="SnapStart=PublishedVersions")


def _share_option(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    default = getattr(_DEFAULT, name.removeprefix("--").replace("-", "_"))
    parser.add_argument(name, type=_share, default=default, metavar="P", help=f"{text} ({default:g})")


def _as_text(found: Bill, ways: Mapping[str, float]) -> Iterator[str]:
    verifications, batch_size = found.load.verifications, found.load.batch_size
    yield f"{verifications:,} verifications in a month: list prices of us-east-1, no free allowance"
    yield ""
    yield f"{'':<34}{'quantity':>12} {'':<16} {'price':<24}{'USD':>9}"
    for lines, title in ((found.by_use, "what is used"), (found.by_month, "what stands, used or not")):
        yield from map(_row, lines)
        yield f"{title:<88}{total(lines):>9,.2f}"
    yield f"{'AWS together':<88}{found.aws:>9,.2f}"
    yield _row(found.sms)
    yield ""
    yield (
        f"AWS is {found.aws / verifications * 100:.4f} cents a verification:"
        f" ${found.aws:,.2f}, beside ${found.sms.usd:,.2f} for the SMS."
    )
    yield (
        f"A million starts: ${ways['http']:.2f} over HTTP, ${ways['queued']:.2f} with Prefer: respond-async,"
        f" ${ways['batched']:.2f} put on the queue by {batch_size}, ${ways['bulk']:.2f} in batches of a thousand."
    )


def _row(line: Line) -> str:
    quantity = f"{line.quantity:,.{0 if _is_large_or_whole(line.quantity) else 2}f}"
    return f"{line.name:<34}{quantity:>12} {line.price.unit:<16} {line.price!s:<24}{line.usd:>9,.2f}"


def _is_large_or_whole(quantity: float) -> bool:
    return quantity >= _LARGE or quantity == round(quantity)


def _as_json(found: Bill, ways: Mapping[str, float]) -> str:
    content = {
        "verifications": found.load.verifications,
        "by_use": [_object(line) for line in found.by_use],
        "by_month": [_object(line) for line in found.by_month],
        "aws_usd": found.aws,
        "sms": _object(found.sms),
        "usd_of_a_million_starts": ways,
    }
    return json.dumps(content, indent=2) + "\n"


def _object(line: Line) -> dict[str, str | float]:
    return {
        "name": line.name,
        "quantity": line.quantity,
        "unit": line.price.unit,
        "price": str(line.price),
        "usd": line.usd,
    }


def _count(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return read


def _share(text: str) -> float:
    return _number(text, 1.0)


def _latency(text: str) -> float:
    return _number(text, _LONGEST_LATENCY)


def _amount(text: str) -> float:
    return _number(text, 1_000_000.0)


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {most:.0f}, not {text!r}")
    return number


def _own_price(text: str) -> tuple[str, float]:
    name, sign, usd = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"must be a name, = and US dollars, such as sqs_request=0.5, not {text!r}")
    return name, _amount(usd)
