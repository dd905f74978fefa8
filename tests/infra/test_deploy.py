"""./salvo deploy and its way back: the real sam and the real template, deployed to the embedded AWS."""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from queue import Queue
from subprocess import run

import pytest
from aiohttp import web

from infra import deploy as command
from infra import sam
from infra.aws import Aws
from infra.command import main
from infra.deploy import DeployFailed, Order, deploy, next_steps, without_credentials
from infra.deployed import FUNCTIONS, Deployed, NotDeployed, find
from infra.environments import ROOT
from infra.local.embedded_aws import aws_client
from infra.rollback import NoWayBack, live_version, roll_back
from tests.adapters import Vendor, open_for_business
from tests.stub_stack import STACK, StubStack, embedded


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StubStack]:
    async with embedded(tmp_path_factory.mktemp("cloud")) as stub:
        yield stub


@pytest.fixture(scope="module")
async def first(cloud: StubStack) -> Deployed:
    return await _deploy(cloud, {"LogLevel": "DEBUG", "AlarmEmail": "on-call@example.com"})


async def test_a_first_deployment_has_gateways_report_to_the_api(first: Deployed) -> None:
    assert first.parameters["ReceiptsUrl"] == first.outputs["ApiUrl"]
    assert first.parameters["AlarmEmail"] == "on-call@example.com"


async def test_parameters_given_once_stay_when_others_change(cloud: StubStack, first: Deployed) -> None:
    before = await find(cloud.aws, STACK)

    later = await _deploy(cloud, {"LogRetention": "7"})

    assert later.parameters == {**before.parameters, "LogRetention": "7"}
    assert later.parameters["AlarmEmail"] == first.parameters["AlarmEmail"]


async def test_receipts_that_were_declined_are_not_asked_for_again(cloud: StubStack, first: Deployed) -> None:
    declined = await _deploy(cloud, {"ReceiptsUrl": ""})
    later = await _deploy(cloud, {})

    assert (declined.parameters["ReceiptsUrl"], later.parameters["ReceiptsUrl"]) == ("", "")


async def test_a_rollback_leads_over_parameters_back_to_the_code_before(cloud: StubStack, first: Deployed) -> None:
    before = await _live(cloud)
    cloud.write_code("second")
    await _deploy(cloud, {})
    await _deploy(cloud, {"LogLevel": "WARNING"})

    moves = await roll_back(cloud.aws, STACK, confirmed=True)

    assert [move.function for move in moves] == list(FUNCTIONS.values())
    assert await _live(cloud) == before


async def test_a_rollback_that_is_not_agreed_to_changes_nothing(cloud: StubStack, first: Deployed) -> None:
    cloud.write_code("third")
    await _deploy(cloud, {})
    before = await _live(cloud)

    with pytest.raises(NoWayBack, match="nothing was changed"):
        await roll_back(cloud.aws, STACK, confirmed=False, ask=lambda _: "n")

    assert await _live(cloud) == before


async def test_next_steps_are_commands_with_the_stacks_own_names(first: Deployed) -> None:
    told = next_steps(first, "eu-central-1", ["twilio", "yunpian"])

    assert first.outputs["ApiUrl"] in told
    assert f"1. Put in what twilio knows you by:\n   ./salvo credentials twilio --stack-name {STACK} --region" in told
    assert f"   ./salvo credentials yunpian --stack-name {STACK} --region eu-central-1\n3. Make a key" in told
    assert f"./salvo key checkout --secret {first.outputs['CallersSecretName']}" in told
    assert f"./salvo doctor --stack-name {STACK}" in told


async def test_credentials_are_asked_for_where_a_route_needs_them_and_there_are_none(cloud: StubStack) -> None:
    async with cloud.aws.client("secretsmanager") as secretsmanager:
        for name in (f"{STACK}-provider-vonage", f"{STACK}-provider-yunpian-of-another"):
            await secretsmanager.create_secret(Name=name, SecretString="{}")

    lacking = await without_credentials(cloud.aws, STACK, {"yunpian", "vonage", "vonage_messages", "aws_sms"})

    assert lacking == ["yunpian"]


async def test_who_may_deploy_and_not_look_for_credentials_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"__type": "AccessDeniedException", "Message": "not you"}, status=400)

    async with open_for_business(Vendor(refuse)) as aws:
        refusing = Aws("eu-central-1", functools.partial(aws_client, endpoint=aws.url))
        lacking = await without_credentials(refusing, STACK, {"yunpian"})

    assert lacking == []
    assert capsys.readouterr().err.endswith("is not known: AWS refuses ListSecrets: not you\n")


async def test_the_first_code_has_nothing_before_it_to_go_back_to(cloud: StubStack, first: Deployed) -> None:
    async with cloud.aws.client("lambda") as functions:
        name = first.outputs["ApiFunctionName"]
        live = await live_version(functions, name)
        await functions.update_alias(FunctionName=name, Name="live", FunctionVersion="1")
        try:
            with pytest.raises(NoWayBack, match="no version of other code before version 1"):
                await roll_back(cloud.aws, STACK, confirmed=True)
        finally:  # the stack is the other tests' too
            await functions.update_alias(FunctionName=name, Name="live", FunctionVersion=str(live))


async def test_what_sam_could_not_do_is_a_sentence(cloud: StubStack) -> None:
    with pytest.raises(DeployFailed, match="sam deploy failed"):
        await deploy(cloud.aws, _order("other", {}), build=_nothing, run=lambda _: 1)


async def test_changes_that_were_declined_are_no_deployment(cloud: StubStack) -> None:
    with pytest.raises(DeployFailed, match="nothing was deployed"):
        await deploy(cloud.aws, _order("other", {}), build=_nothing, run=lambda _: 0)


async def test_ctrl_c_is_heard_while_it_is_built_and_nothing_is_deployed(cloud: StubStack) -> None:
    ran: list[Sequence[str]] = []
    over = threading.Event()
    heard: Queue[bool] = Queue()

    def build() -> None:
        loop.call_soon_threadsafe(deploying.cancel)  # what asyncio.run does at the first Ctrl-C
        heard.put(over.wait(timeout=5))

    loop = asyncio.get_running_loop()
    deploying = asyncio.create_task(
        deploy(
            cloud.aws,
            _order("other", {}),
            build=build,
            run=lambda arguments: ran.append(arguments) or 1,  # type: ignore[func-returns-value]
        )
    )
    deploying.add_done_callback(lambda _: over.set())
    with pytest.raises(asyncio.CancelledError):
        await deploying

    assert await asyncio.to_thread(heard.get, timeout=10)
    assert ran == []


async def test_without_yes_sam_asks(cloud: StubStack) -> None:
    asked: list[Sequence[str]] = []

    with pytest.raises(DeployFailed):
        await deploy(
            cloud.aws,
            Order(stack="other", parameters={}, confirmed=False),
            build=_nothing,
            run=lambda arguments: asked.append(arguments) or 1,  # type: ignore[func-returns-value]
        )

    assert "--no-confirm-changeset" not in asked[0]
    assert "confirm_changeset = true" in (ROOT / "samconfig.toml").read_text()


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_IN_PROGRESS"])
def test_a_stack_that_cannot_be_deployed_to_is_told_in_a_sentence(status: str) -> None:
    stack = Deployed(name="salvo", status=status, parameters={}, outputs={}, resources={})

    with pytest.raises(DeployFailed, match=f"stack salvo is in {status}: "):
        command.check_deployable(stack, "eu-central-1")


def test_what_a_dead_stack_lacks_is_told_with_its_status() -> None:
    stack = Deployed(name="salvo", status="ROLLBACK_COMPLETE", parameters={}, outputs={}, resources={})

    with pytest.raises(NotDeployed, match=r"stack salvo \(ROLLBACK_COMPLETE\) has no output ApiUrl: .* or says what"):
        stack.output("ApiUrl")


async def test_a_stack_that_is_not_there_is_told_with_its_region(cloud: StubStack) -> None:
    with pytest.raises(NotDeployed, match="there is no stack nowhere in eu-central-1"):
        await find(cloud.aws, "nowhere")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["--parameter", "LogLevel"], "write it as NAME=VALUE"),
        (["--parameter", "LogLevl=INFO"], "the template has no parameter LogLevl; it has AlarmEmail"),
    ],
)
def test_a_parameter_that_is_none_is_told_before_anything_is_built(
    given: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["deploy", "--region", "eu-central-1", *given])

    assert code == 1
    assert wrong in capsys.readouterr().err


def test_a_route_by_aws_gives_the_functions_the_right_to_send(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.rights_of({"yunpian", "twilio"}) == {}
    assert command.rights_of({"yunpian", "sns"}) == {"SendByAws": "true"}

    assert capsys.readouterr().err == "salvo: a route names sns: SendByAws=true lets the functions send by AWS\n"


def test_values_reach_sam_whatever_is_in_them() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    program = (
        "import sys; from samcli.cli.types import CfnParameterOverridesType;"
        "print(CfnParameterOverridesType().convert(tuple(sys.argv[1:]), None, None))"
    )
    values = {"ReceiptsUrl": "", "AlarmEmail": 'o\'neil "ops"+a@example.com', "LogLevel": "a=b c"}

    finished = run(
        [sam.tool("python"), "-c", program, *command.overrides(values)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert finished.stdout.strip() == str(values)


def test_without_credentials_deploy_says_so_and_builds_nothing(tmp_path: Path) -> None:
    finished = _salvo("deploy", "--region", "eu-central-1", home=tmp_path)

    assert finished == (
        1,
        "salvo: there are no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE\n",
    )


def test_without_a_region_deploy_says_so(tmp_path: Path) -> None:
    finished = _salvo("deploy", home=tmp_path)

    assert finished == (1, "salvo: no region: pass --region, such as eu-central-1, or set AWS_DEFAULT_REGION\n")


def test_a_profile_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    code, said = _salvo("deploy", "--region", "eu-central-1", home=tmp_path, AWS_PROFILE="nobody")

    assert code == 1
    assert said == "salvo: The config profile (nobody) could not be found: AWS_PROFILE names it\n"


def _salvo(*arguments: str, home: Path, **environment: str) -> tuple[int, str]:
    finished = run(
        [sys.executable, "-m", "infra.command", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stderr


async def _deploy(cloud: StubStack, parameters: dict[str, str]) -> Deployed:
    return await deploy(cloud.aws, _order(STACK, parameters), build=_nothing, run=cloud.run)


def _order(stack: str, parameters: dict[str, str]) -> Order:
    return Order(stack=stack, parameters=parameters, confirmed=True)


def _nothing() -> None:
    """The stubs are built."""


async def _live(cloud: StubStack) -> list[str]:
    """The code that events invoke, function by function."""
    stack = await find(cloud.aws, STACK)
    live = []
    async with cloud.aws.client("lambda") as functions:
        for name in FUNCTIONS.values():
            assert await live_version(functions, stack.id_of(name)) is not None
            version = await functions.get_function_configuration(FunctionName=stack.id_of(name), Qualifier="live")
            live.append(version["CodeSha256"])
    return live
