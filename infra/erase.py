"""./salvo erase: deletes what a stack's table has stored of a number.

Answers to idempotency keys hold ids, and an id holds the key of its number's record: they are looked through one by
one. Queue and dead letters keep numbers for 15 minutes and 14 days, backups of the table digests of them for 35 days.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from functions.domain.errors import InvalidPhoneNumber
from functions.domain.identity import number_key, pseudonym
from functions.domain.keys import Keyring
from functions.domain.phone import PhoneNumber, parse_phone_number
from functions.service_file import ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from functions.stores.answers import PREFIX as ANSWERS
from functions.stores.guard_everywhere import number_pk
from functions.stores.record_item import record_pk
from functions.usecases.ports import KeysUnavailable
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, NotDeployed
from infra.environments import say
from infra.guard.deployment import Deployment, opened
from infra.guard.forget import forget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", help="such as +4915112345678")
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")
    parser.add_argument("--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="another services.toml")
    parser.add_argument(
        "--service", action="append", default=[], metavar="NAME", help="one that is in services.toml no more"
    )
    parser.epilog = "The number's limits begin anew, and so do the wrong guesses that strangers have at its codes."


def main(arguments: argparse.Namespace) -> int:
    try:
        to = parse_phone_number(arguments.number)
        services = {*load_configuration(arguments.services).services, *arguments.service}
        aws = Aws.of_the_shell(arguments.region)
        erased = asyncio.run(_erase(aws, arguments.stack_name, to, services))  # noqa: TID251 - this is no function
    except ServiceFileError as error:
        say("\n".join(error.problems))
    except InvalidPhoneNumber as error:
        say(error.detail)
    except (NotDeployed, AwsUnavailable, KeysUnavailable) as error:
        say(str(error))
    except AWS_ERRORS as error:
        say(explain(error))
    else:
        sys.stdout.write(f"{erased} items of the number are erased from {arguments.stack_name}\n")
        return 0
    return 1


async def _erase(aws: Aws, stack: str, to: PhoneNumber, services: Iterable[str]) -> int:
    async with opened(aws, stack) as deployment:
        return await erase(deployment, to, services)


async def erase(deployment: Deployment, to: PhoneNumber, services: Iterable[str]) -> int:
    """How many items were deleted, or changed. Raises AWS's errors."""
    rings = _rings(deployment.keys)
    records = {number_key(ring, service, to.e164) for ring in rings for service in services}
    counters = {pseudonym(ring, "number", to.e164) for ring in rings}
    answers = [pk async for pk in _answers_about(deployment, records)]
    own = [*map(record_pk, records), *map(number_pk, counters), *answers]
    return sum([await _delete(deployment, pk) for pk in own]) + await forget(deployment, to)


def _rings(keys: Keyring) -> list[Keyring]:
    """By the index key, and by the one before while that is remembered."""
    indexes = [index for index in (keys.index, keys.index_before) if index is not None]
    return [replace(keys, index=index) for index in indexes]


async def _answers_about(deployment: Deployment, records: Collection[str]) -> AsyncIterator[str]:
    """The keys of answers that hold an id of these records."""
    pages = deployment.dynamodb.get_paginator("scan").paginate(
        TableName=deployment.table,
        FilterExpression="begins_with(pk, :answers) AND attribute_exists(answer)",
        ExpressionAttributeValues={":answers": {"S": ANSWERS}},
    )
    async for page in pages:
        for item in page["Items"]:
            if any(key.encode() in item["answer"]["B"] for key in records):
                yield item["pk"]["S"]


async def _delete(deployment: Deployment, pk: str) -> bool:
    """Whether it was there."""
    answer = await deployment.dynamodb.delete_item(
        TableName=deployment.table, Key={"pk": {"S": pk}}, ReturnValues="ALL_OLD"
    )
    return "Attributes" in answer
