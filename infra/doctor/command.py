"""./salvo doctor: examines a deployed stack from outside. Changes nothing, sends nothing, tells no secret."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import aiohttp
from rich.console import Console

from functions.service_file import Configuration, ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, NotDeployed, find
from infra.doctor import (
    alarms,
    api,
    concurrency,
    event_source,
    functions,
    hooks,
    keys,
    providers,
    queues,
    report,
    routes,
    stack,
    storage,
)
from infra.doctor.compliance import Verdict, controls
from infra.doctor.finding import Finding, Level, fail
from infra.doctor.subject import PATIENCE, Check, Subject
from infra.environments import say

CHECKS: Sequence[tuple[str, Check]] = (
    ("stack", stack.check_status),
    ("API", api.check_health),
    ("strangers", api.check_strangers),
    ("receipts", stack.check_receipts),
    ("keys", keys.check_keyring),
    ("callers", keys.check_callers),
    ("routes", routes.check_routes),
    ("providers", providers.check_providers),
    ("hooks", hooks.check_hooks),
    ("spare secrets", providers.check_spare_secrets),
    ("table", storage.check_table),
    ("queues", queues.check_queues),
    ("event source", event_source.check_event_source),
    ("functions", functions.check_functions),
    ("concurrency", concurrency.check_concurrency),
    ("logs", functions.check_logs),
    ("alarms", alarms.check_alarms),
    ("who hears of alarms", alarms.check_listeners),
    ("clock", api.check_clock),
)
"""What each is about, for where it can't look, in the order of the report."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where it is (the region of your AWS configuration)")
    parser.add_argument("--services", type=Path, default=SHIPPED_SERVICES, metavar="FILE", help="another services.toml")
    parser.add_argument("--api", metavar="URL", help="where the API answers, if not at the stack's own ApiUrl")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.epilog = "Exit code 1 when anything FAILs. Nothing is changed, sent, or told of a secret."


def main(arguments: argparse.Namespace) -> int:
    try:
        configuration = load_configuration(arguments.services)
        aws = Aws.of_the_shell(arguments.region)
        findings = asyncio.run(  # noqa: TID251 - this is no function
            examine(aws, arguments.stack_name, configuration, api_url=arguments.api)
        )
    except (NotDeployed, AwsUnavailable, ServiceFileError) as error:
        say(str(error))
        return 1
    except AWS_ERRORS as error:
        say(explain(error))
        return 1
    services = {name: controls(service) for name, service in configuration.services.items()}
    if arguments.json:
        sys.stdout.write(report.as_json(arguments.stack_name, findings, services) + "\n")
    else:
        report.show(Console(width=max(Console().width, 140)), findings, services)
    failed = any(finding.level is Level.FAIL for finding in findings)
    return 1 if failed or any(each.verdict is Verdict.FAIL for each in chain(*services.values())) else 0


async def examine(
    aws: Aws,
    stack_name: str,
    configuration: Configuration,
    *,
    api_url: str | None = None,
    now: Callable[[], float] = time.time,  # noqa: TID251 - an operator's machine, whose clock is examined
) -> list[Finding]:
    """All checks at once, in the order of the report. Raises NotDeployed, and AWS's errors where it finds no stack."""
    deployed = await find(aws, stack_name)
    url = (api_url or deployed.output("ApiUrl")).rstrip("/")
    async with aiohttp.ClientSession(timeout=PATIENCE) as http:
        subject = Subject(aws=aws, stack=deployed, configuration=configuration, http=http, api=url, now=now)
        found = await asyncio.gather(*(look(about, check, subject) for about, check in CHECKS))
    return list(chain(*found))


async def look(about: str, check: Check, subject: Subject) -> list[Finding]:
    """A check that can't look has failed, and the others go on."""
    try:
        return await check(subject)
    except NotDeployed as error:
        return [fail(about, str(error), "./salvo deploy")]
    except AWS_ERRORS as error:
        return [fail(about, explain(error), "could not be examined")]
