"""./salvo up: the whole system, until Ctrl-C or TERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from functions.service_file import ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from infra.environments import say
from infra.local import up_stack
from infra.local.containers import ENV_FILE, ContainersUnavailable, bridge_address, opened_to_containers
from infra.local.execution_environment import FunctionError
from infra.local.ready import announce
from infra.local.system import System, start_system

LONGEST_LATENCY = 7.5
"""Seconds. The functions give 8 to providers in China, and 6 to all others: beyond that nobody knows what was taken."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8080, help="of the API on 127.0.0.1; 0 for any free one (8080)")
    parser.add_argument(
        "--services", type=Path, metavar="FILE", help="a services.toml to try out (functions/services.toml)"
    )
    functions = parser.add_mutually_exclusive_group()
    functions.add_argument(
        "--print-env",
        action="store_true",
        help="write env.json too: `sam local` runs the functions on this system then",
    )
    functions.add_argument(
        "--stack",
        action="store_true",
        help="run what ./salvo build made, deployed by the real template (needs the functions' own Python)",
    )
    add_gateway_arguments(parser, latency=0.2)
    parser.epilog = (
        "The vendors are simulated: whatever services.toml names. At the address that is printed as simulator, "
        'PUT /control with {"provider": "twilio", "always": {"answer": "refuse"}} takes one down, DELETE /control '
        "brings all back, and /control/requests.json has what they were asked (infra/local/gateway.py has the rest)."
    )


def add_gateway_arguments(parser: argparse.ArgumentParser, *, latency: float) -> None:
    parser.add_argument(
        "--latency",
        type=_latency,
        default=latency,
        metavar="S",
        help=f"seconds that each provider takes; the functions wait for 6, and 8 for those in China ({latency:g})",
    )
    parser.add_argument(
        "--fail", type=_share, default=0.0, metavar="P", help="share of sends that it refuses or drops, 0 to 1 (0)"
    )


def main(arguments: argparse.Namespace) -> int:
    if arguments.stack:
        return up_stack.main(arguments)
    services = arguments.services or SHIPPED_SERVICES
    try:
        load_configuration(services)
    except ServiceFileError as error:  # told here: a function would tell it with the trace of a start that failed
        say(f"{services} has mistakes:\n{error}")
        return 1
    return asyncio.run(_serve(arguments))  # noqa: TID251 - this is no function


async def _serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        bridge = await asyncio.to_thread(bridge_address) if arguments.print_env else None
        async with (
            start_system(
                port=arguments.port, latency=arguments.latency, fail=arguments.fail, services=arguments.services
            ) as system,
            _opened_to_sam(system, bridge) if arguments.print_env else contextlib.nullcontext(),
        ):
            _announce(system)
            await stop.wait()
            say("stopping")
    except OSError as error:
        say(f"could not start on port {arguments.port}: {error.strerror or error}")
        return 1
    except FunctionError as error:
        say(f"a function does not start: {error}")
        return 1
    except ContainersUnavailable as error:
        say(str(error))
        return 1
    return 0


@contextlib.asynccontextmanager
async def _opened_to_sam(system: System, bridge: str | None) -> AsyncIterator[None]:
    async with opened_to_containers(system.base.environment(receipts_url=system.url), bridge):
        say(f"{ENV_FILE.name} is written: sam local runs what ./salvo build made against this system")
        yield


def _announce(system: System) -> None:
    resources = system.base.resources
    announce(
        url=system.url,
        simulator=system.base.gateway.url,
        aws_endpoint=resources.endpoint,
        table=resources.table,
        queue_url=resources.queue_url,
        bulk_queue_url=resources.bulk_queue_url,
    )


def _latency(text: str) -> float:
    return _between(text, LONGEST_LATENCY)


def _share(text: str) -> float:
    return _between(text, 1.0)


def _between(text: str, most: float) -> float:
    number = float(text)
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"must be from 0 to {most:g}")
    return number
