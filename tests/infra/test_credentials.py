"""./salvo credentials: what a provider takes is stored, and what it refuses is not."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from infra.aws import Aws
from infra.credentials import NotStored, store
from infra.deployed import NotDeployed
from infra.doctor.finding import Level
from infra.doctor.providers import PROVIDERS
from infra.local.embedded_aws import REGION, EmbeddedAws, aws_client, aws_environment
from infra.local.gateway import GatewayProcess

STACK, SECRET = "credentials", "credentials-yunpian"
KEPT = "the receipts' token, which nobody types"
NOBODY = "http://127.0.0.1:9"
(YUNPIAN,) = PROVIDERS


@pytest.fixture(scope="module")
async def gateway() -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess.start(apikey="good") as running:
        yield running


@pytest.fixture(scope="module")
async def cloud(aws: EmbeddedAws, gateway: GatewayProcess) -> Aws:
    """With two stacks that have a secret and a gateway's address: one of them answers."""
    for name, url in ((STACK, gateway.url), (f"{STACK}-astray", NOBODY)):
        template = {
            "Parameters": {"YunpianUrl": {"Type": "String"}},
            "Resources": {"Table": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {"YunpianSecretName": {"Value": SECRET}},
        }
        given = [{"ParameterKey": "YunpianUrl", "ParameterValue": url}]
        async with aws_client("cloudformation", aws.endpoint) as cloudformation:
            await cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=given)
            await cloudformation.get_waiter("stack_create_complete").wait(
                StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
            )
    async with aws_client("secretsmanager", aws.endpoint) as secretsmanager:
        await secretsmanager.create_secret(Name=SECRET, SecretString="{}")
    return Aws(REGION, functools.partial(aws_client, endpoint=aws.endpoint))


@pytest.fixture(autouse=True)
async def _as_before(cloud: Aws) -> None:
    await put(cloud, json.dumps({"apikey": "old", "receipt_token": KEPT}))


async def put(cloud: Aws, content: str) -> None:
    async with cloud.client("secretsmanager") as client:
        await client.put_secret_value(SecretId=SECRET, SecretString=content)


async def stored(cloud: Aws) -> Any:
    async with cloud.client("secretsmanager") as client:
        return json.loads((await client.get_secret_value(SecretId=SECRET))["SecretString"])


async def test_what_the_provider_takes_is_stored_beside_what_is_there(cloud: Aws) -> None:
    finding = await store(cloud, STACK, YUNPIAN, {"apikey": "good"})

    assert finding.level is Level.OK
    assert await stored(cloud) == {"apikey": "good", "receipt_token": KEPT}


async def test_what_the_provider_refuses_is_not_stored_and_not_told(cloud: Aws) -> None:
    with pytest.raises(NotStored, match="refuses the API key") as refused:
        await store(cloud, STACK, YUNPIAN, {"apikey": "mistyped"})

    assert "mistyped" not in str(refused.value)
    assert "outside China before it ./salvo deploy --parameter YunpianUrl=" in str(refused.value)
    assert (await stored(cloud))["apikey"] == "old"


async def test_a_provider_that_does_not_answer_is_no_reason_where_its_owner_says_so(cloud: Aws) -> None:
    with pytest.raises(NotStored, match="does not answer"):
        await store(cloud, f"{STACK}-astray", YUNPIAN, {"apikey": "unknown"})

    await store(cloud, f"{STACK}-astray", YUNPIAN, {"apikey": "unknown"}, untried=True)

    assert (await stored(cloud))["apikey"] == "unknown"


async def test_a_stack_that_is_not_there_is_named(cloud: Aws) -> None:
    with pytest.raises(NotDeployed, match="no stack nowhere"):
        await store(cloud, "nowhere", YUNPIAN, {"apikey": "good"})


class TestTheCommand:
    """As a script calls it: the key comes by standard input."""

    @pytest.fixture
    def salvo(self, aws: EmbeddedAws, cloud: Aws) -> Any:
        async def call(typed: str, *arguments: str) -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infra.command", "credentials", "yunpian", "--stack-name", STACK, *arguments),
                env={"PATH": "/usr/bin:/bin", **aws_environment(aws.endpoint)},
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await process.communicate(typed.encode(errors="surrogateescape"))
            return process.returncode or 0, said.decode()

        return call

    def test_ctrl_d_is_nothing_typed(self, aws: EmbeddedAws) -> None:
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "w"), os.fdopen(theirs) as terminal:
            command = [sys.executable, "-m", "infra.command", "credentials", "yunpian", "--stack-name", STACK]
            salvo = subprocess.Popen(
                command,
                env={"PATH": "/usr/bin:/bin", **aws_environment(aws.endpoint)},
                stdin=terminal,
                stderr=subprocess.PIPE,
                start_new_session=True,  # no other terminal to ask at
                text=True,
            )
            assert salvo.stderr is not None
            said = salvo.stderr.read(1)  # it asks, and has taken what was typed before that away
            os.write(ours, b"\x04")
            said += salvo.communicate(timeout=30)[1]

        assert salvo.returncode == 1
        assert said.endswith("salvo: yunpian apikey is empty: nothing was stored\n")
        assert "Traceback" not in said

    async def test_stores_what_it_reads(self, salvo: Any, cloud: Aws) -> None:
        code, said = await salvo("good\n")

        assert (code, (await stored(cloud))["apikey"]) == (0, "good")
        assert "takes the key" in said

    @pytest.mark.parametrize(
        ("typed", "why"),
        [
            ("mistyped\n", "refuses the API key"),
            ("\n", "is empty"),
            ("", "empty"),
            ("g\u00f6\udcffod\n", "characters that no key has"),
        ],
    )
    async def test_says_why_it_stores_nothing(self, salvo: Any, cloud: Aws, typed: str, why: str) -> None:
        code, said = await salvo(typed)

        assert (code, (await stored(cloud))["apikey"]) == (1, "old")
        assert why in said
        assert "Traceback" not in said

    async def test_a_secret_that_is_spoilt_is_not_overwritten(self, salvo: Any, cloud: Aws) -> None:
        await put(cloud, "no JSON")

        code, said = await salvo("good\n")

        assert code == 1
        assert said == f"salvo: secret {SECRET} is not a JSON text\n"
