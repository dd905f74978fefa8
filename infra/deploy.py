"""./salvo deploy: builds, deploys with sam, has the receipts come in, and says what is left to do."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from functions.service_file import ServiceFileError, load_configuration
from functions.settings import SHIPPED_SERVICES
from infra import rollback, sam
from infra.aws import AWS_ERRORS, Aws, AwsUnavailable, explain
from infra.deployed import NAME, Deployed, NotDeployed, find
from infra.environments import ROOT, say
from infra.provider_secrets import OF_AWS, without
from infra.template import read

# What CloudFormation leaves of a stack whose first deployment failed. It can be deleted, and nothing else.
_DEAD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
_REVIEWED = "REVIEW_IN_PROGRESS"
"""A change set was shown and never carried out: there is a stack's name, and no stack."""


class DeployFailed(Exception):
    """The message says what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    stack: str
    parameters: Mapping[str, str]
    """Those that are said now. What was said in earlier deployments stays: sam asks CloudFormation for it."""
    confirmed: bool
    """Or else sam shows the changes and asks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stack-name", default=NAME, metavar="NAME", help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="where to (the region of your AWS configuration)")
    parser.add_argument("--alarm-email", metavar="ADDRESS", help="who hears of alarms; AWS asks there for a consent")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml; may be given several times. Those not given keep their values",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is changed")
    parser.add_argument("--rollback", action="store_true", help="build nothing: put the code before this one back live")
    parser.epilog = "Credentials are those of the AWS CLI: AWS_PROFILE, `aws configure`, `aws sso login`."


def main(arguments: argparse.Namespace) -> int:
    try:
        aws = Aws.of_the_shell(arguments.region)
        if arguments.rollback:
            asyncio.run(rollback.roll_back(aws, arguments.stack_name, confirmed=arguments.yes))  # noqa: TID251 - no function
            return 0
        named = load_configuration(SHIPPED_SERVICES).named  # and no mistake in it is built
        parameters = {**rights_of(named), **_parameters(arguments)}
        order = Order(stack=arguments.stack_name, parameters=parameters, confirmed=arguments.yes)
        deployed = asyncio.run(deploy(aws, order))  # noqa: TID251 - this is no function
        lacking = asyncio.run(without_credentials(aws, order.stack, named))  # noqa: TID251 - this is no function
    except (DeployFailed, NotDeployed, AwsUnavailable, ServiceFileError, rollback.NoWayBack, sam.BuildFailed) as error:
        say(str(error))
        return 1
    except AWS_ERRORS as error:
        say(explain(error))
        return 1
    sys.stdout.write(next_steps(deployed, aws.region, lacking))
    return 0


def run_sam(arguments: Sequence[str]) -> int:
    """Runs sam in the terminal; its exit code."""
    # Not infra.sam's environment, which keeps the build off the network: a deployment may need the machine's own role.
    inherited = {**os.environ, "SAM_CLI_TELEMETRY": "0"}  # noqa: TID251 (handed on, not read)
    return subprocess.run([str(sam.tool("sam")), *arguments], cwd=ROOT, env=inherited, check=False).returncode  # noqa: S603


async def deploy(
    aws: Aws,
    order: Order,
    *,
    build: Callable[[], None] = sam.build,
    run: Callable[[Sequence[str]], int] = run_sam,
) -> Deployed:
    """Raises DeployFailed, BuildFailed, EnvironmentUnavailable, and AWS's errors."""
    async with aws.client("sts") as sts:
        account = (await sts.get_caller_identity())["Account"]
    say(f"stack {order.stack} in {aws.region}, account {account}")
    before = await _present(aws, order.stack)
    # In a thread, where Ctrl-C is heard meanwhile: after it nothing may be deployed any more.
    await asyncio.to_thread(build)
    await asyncio.to_thread(_run, run, aws, order)
    deployed = await _present(aws, order.stack)
    if deployed is None:
        raise DeployFailed("nothing was deployed")
    if before is None and not deployed.parameters.get("ReceiptsUrl") and "ReceiptsUrl" not in order.parameters:
        deployed = await _ask_for_receipts(aws, order.stack, deployed, run)
    return deployed


async def without_credentials(aws: Aws, stack: str, named: Iterable[str]) -> list[str]:
    """Those of the named providers that have none yet. It is deployed: who may not look for them has not failed."""
    try:
        return await without(aws, stack, named)
    except AWS_ERRORS as error:
        say(f"whether the providers have their credentials is not known: {explain(error)}")
        return []


def next_steps(deployed: Deployed, region: str, lacking: Sequence[str]) -> str:
    """`lacking` are the providers that a route names and that have no credentials yet."""
    url, callers = deployed.output("ApiUrl"), deployed.output("CallersSecretName")
    here = f"--stack-name {deployed.name} --region {region}"
    steps = [
        *(f"Put in what {provider} knows you by:\n   ./salvo credentials {provider} {here}" for provider in lacking),
        f"""Make a key for whoever will call the API:
   AWS_DEFAULT_REGION={region} ./salvo key checkout --secret {callers}""",
        f"""Send the first code, to your own phone:
   curl {url}/v1/verifications -H 'Authorization: Bearer sk_...' -d '{{"to": "+49..."}}'""",
    ]
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
    return f"""
Stack {deployed.name} is deployed. The API is at {url}

{numbered}

Whether everything is in place: ./salvo doctor {here}
"""


def rights_of(named: Iterable[str]) -> dict[str, str]:
    """The parameters that give the functions what these providers need of AWS."""
    by_aws = sorted(OF_AWS.intersection(named))
    if by_aws:
        say(f"a route names {' and '.join(by_aws)}: SendByAws=true lets the functions send by AWS")
    return {"SendByAws": "true"} if by_aws else {}


def _parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """Raises DeployFailed."""
    known = read()["Parameters"]
    given = {"AlarmEmail": arguments.alarm_email} if arguments.alarm_email is not None else {}
    for text in arguments.parameter:
        name, equals, value = text.partition("=")
        if not equals:
            raise DeployFailed(f"--parameter {text}: write it as NAME=VALUE")
        given[name] = value
    if unknown := sorted(given.keys() - known.keys()):
        raise DeployFailed(f"the template has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    return given


async def _present(aws: Aws, name: str) -> Deployed | None:
    """Raises DeployFailed where the stack is in no state to be deployed to."""
    try:
        stack = await find(aws, name)
    except NotDeployed:
        return None
    if stack.status == _REVIEWED:
        return None
    check_deployable(stack, aws.region)
    return stack


def check_deployable(stack: Deployed, region: str) -> None:
    """Raises DeployFailed."""
    if stack.status in _DEAD:
        raise DeployFailed(
            f"stack {stack.name} is in {stack.status}: its first deployment failed. Look at its events for the reason, "
            f"then remove it: aws cloudformation delete-stack --stack-name {stack.name} --region {region}"
        )
    if stack.status.endswith("_IN_PROGRESS"):
        raise DeployFailed(f"stack {stack.name} is in {stack.status}: wait until that is done")


def overrides(parameters: Mapping[str, str]) -> list[str]:
    """Quoted, as sam reads a value whatever is in it."""
    return [name + '="' + value.replace('"', '\\"') + '"' for name, value in parameters.items()]


def _command(aws: Aws, order: Order) -> list[str]:
    return [
        "deploy",
        *("--stack-name", order.stack, "--region", aws.region, "--no-fail-on-empty-changeset"),
        *(["--no-confirm-changeset"] if order.confirmed else []),
        *(["--parameter-overrides", *overrides(order.parameters)] if order.parameters else []),
    ]


def _run(run: Callable[[Sequence[str]], int], aws: Aws, order: Order) -> None:
    if run(_command(aws, order)):
        hint = "" if order.confirmed else ". Where nobody can be asked, --yes is needed"
        raise DeployFailed(f"sam deploy failed: see above{hint}")


async def _ask_for_receipts(aws: Aws, stack: str, deployed: Deployed, run: Callable[[Sequence[str]], int]) -> Deployed:
    """The functions tell gateways the API's own address, which is known only now."""
    url = deployed.output("ApiUrl")
    say(f"deploying once more, so that gateways report to {url} what became of a message")
    order = Order(stack=stack, parameters={"ReceiptsUrl": url}, confirmed=True)
    await asyncio.to_thread(_run, run, aws, order)
    return await find(aws, stack)
