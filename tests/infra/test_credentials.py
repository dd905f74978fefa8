"""./salvo credentials: what a provider takes is stored, and what it refuses is not."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from functions.domain.receipt_token import read_token
from functions.domain.sensitive import Sensitive
from functions.providers.credentials import read_secret
from functions.route_file import ProviderSettings
from functions.service_file import Configuration
from functions.usecases.ports import KeysUnavailable
from infra import provider_secrets
from infra.aws import Aws
from infra.credentials import NotStored, store, wanted
from infra.deployed import NotDeployed
from infra.doctor.finding import Level
from infra.local.embedded_aws import REGION, EmbeddedAws, aws_client, aws_environment
from tests.adapters import Vendor, open_for_business

STACK, SECRET = "credentials", "credentials-provider-yunpian"
KEPT = "the receipts' token, which nobody types"
RECEIPTS_URL = "https://sms.example.com"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
async def gateway() -> AsyncIterator[Vendor]:
    """Yunpian, as it answers to one key."""

    async def account(request: web.Request) -> web.Response:
        known = (await request.post())["apikey"] == "good"
        return web.json_response({"balance": 1000} if known else {"code": -1}, status=200 if known else 400)

    async with open_for_business(Vendor(account)) as vendor:
        yield vendor


@pytest.fixture(scope="module")
def answers(gateway: Vendor) -> Configuration:
    return _at(gateway.url)


@pytest.fixture(scope="module")
async def cloud(aws: EmbeddedAws) -> Aws:
    """With a stack that has none of its own."""
    template = {
        "Parameters": {"ReceiptsUrl": {"Type": "String"}},
        "Resources": {"Table": {"Type": "AWS::SQS::Queue"}},
    }
    given = [{"ParameterKey": "ReceiptsUrl", "ParameterValue": RECEIPTS_URL}]
    async with aws_client("cloudformation", aws.endpoint) as cloudformation:
        await cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(template), Parameters=given)
        await cloudformation.get_waiter("stack_create_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
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


async def stored(cloud: Aws, name: str = SECRET) -> Any:
    async with cloud.client("secretsmanager") as client:
        return json.loads((await client.get_secret_value(SecretId=name))["SecretString"])


async def removed(cloud: Aws, *, for_good: bool) -> None:
    async with cloud.client("secretsmanager") as client:
        await client.delete_secret(SecretId=SECRET, **({"ForceDeleteWithoutRecovery": True} if for_good else {}))


async def test_what_the_provider_takes_is_stored_beside_what_is_there(cloud: Aws, answers: Configuration) -> None:
    found = await store(cloud, STACK, "yunpian", {"apikey": "good"}, answers)

    assert found.finding.level is Level.OK
    assert await stored(cloud) == {"apikey": "good", "receipt_token": KEPT}


async def test_a_secret_that_is_not_there_is_made_with_a_token_of_its_own(cloud: Aws, answers: Configuration) -> None:
    await removed(cloud, for_good=True)

    await store(cloud, STACK, "yunpian", {"apikey": "good"}, answers)

    made = await stored(cloud)
    async with cloud.client("secretsmanager") as client:
        about = await client.describe_secret(SecretId=SECRET)
    assert (made["apikey"], len(made["receipt_token"])) == ("good", 43)
    assert {"Key": "salvo:stack", "Value": STACK} in about["Tags"]


async def test_a_secret_is_made_under_the_stacks_own_key() -> None:
    asked: list[dict[str, str]] = []

    await provider_secrets.store(_Empty(asked), "name", {"a": "b"}, stack=STACK, key="arn:aws:kms:a:1:key/2")

    assert [each.get("KmsKeyId") for each in asked] == [None, "arn:aws:kms:a:1:key/2"]


async def test_the_address_for_receipts_is_the_accounts(cloud: Aws, answers: Configuration) -> None:
    found = await store(cloud, STACK, "yunpian", {"apikey": "good"}, answers)

    assert found.receipts is not None
    address, _, token = found.receipts.rpartition("/")
    assert address == f"{RECEIPTS_URL}/v1/receipts/yunpian"
    assert read_token(Sensitive(KEPT), "yunpian", token) is None
    assert token not in repr(found)


async def test_a_secret_that_waits_to_be_deleted_is_told_with_the_way_back(cloud: Aws, answers: Configuration) -> None:
    await removed(cloud, for_good=False)

    with pytest.raises(KeysUnavailable, match=f"restore-secret --secret-id {SECRET}` takes that back"):
        await store(cloud, STACK, "yunpian", {"apikey": "good"}, answers)

    async with cloud.client("secretsmanager") as client:
        await client.restore_secret(SecretId=SECRET)


async def test_what_the_provider_refuses_is_not_stored_and_not_told(cloud: Aws, answers: Configuration) -> None:
    with pytest.raises(NotStored, match="refuses the API key") as refused:
        await store(cloud, STACK, "yunpian", {"apikey": "mistyped"}, answers)

    assert "mistyped" not in str(refused.value)
    assert '[providers.yunpian] url = "https://us.yunpian.com"' in str(refused.value)
    assert (await stored(cloud))["apikey"] == "old"


async def test_a_provider_that_does_not_answer_is_no_reason_where_its_owner_says_so(cloud: Aws) -> None:
    with pytest.raises(NotStored, match="does not answer"):
        await store(cloud, STACK, "yunpian", {"apikey": "unknown"}, _at(NOBODY))

    await store(cloud, STACK, "yunpian", {"apikey": "unknown"}, _at(NOBODY), untried=True)

    assert (await stored(cloud))["apikey"] == "unknown"


async def test_a_stack_that_is_not_there_is_named(cloud: Aws, answers: Configuration) -> None:
    with pytest.raises(NotDeployed, match="no stack nowhere"):
        await store(cloud, "nowhere", "yunpian", {"apikey": "good"}, answers)


@pytest.mark.parametrize("provider", provider_secrets.WITH_SECRET)
def test_what_is_asked_for_is_all_that_the_adapter_needs(provider: str) -> None:
    good = importlib.import_module(f"tests.unit.test_{provider}").SECRET
    kind = provider_secrets.kind_of(provider)

    asked = {entry: good[entry] for entry in wanted(provider, [])}

    assert asked or provider == "webhook"  # which may have its address in services.toml, and no key
    whole = {provider_secrets.OURS: KEPT, **asked}
    read_secret(provider, whole, kind)
    for entry in whole:
        with pytest.raises(KeysUnavailable, match=f"{provider}: .*{entry}"):
            read_secret(provider, {name: content for name, content in whole.items() if name != entry}, kind)


@pytest.mark.parametrize(
    ("typed", "held"),
    [
        ("4711", "4711"),
        ("[not JSON", "[not JSON"),
        ("true", True),
        ('["code", "minutes"]', ["code", "minutes"]),
        ('{"Authorization": "Bearer x"}', {"Authorization": "Bearer x"}),
    ],
)
def test_an_entry_is_text_unless_it_is_a_list_an_object_or_a_yes_or_no(typed: str, held: object) -> None:
    assert provider_secrets.read_typed(typed) == held


def test_an_optional_entry_that_is_asked_for_is_asked_for_last() -> None:
    assert wanted("twilio", ["shared_key"]) == ["account_sid", "auth_token", "shared_key"]


def test_an_optional_entry_that_there_is_not_is_told_before_anything_is_asked() -> None:
    with pytest.raises(NotStored, match="yunpian has no optional entry colour; it has none"):
        wanted("yunpian", ["colour"])


class TestTheCommand:
    """As a script calls it: the key comes by standard input."""

    @pytest.fixture
    def salvo(self, aws: EmbeddedAws, cloud: Aws, gateway: Vendor, tmp_path: Path) -> Any:
        services = tmp_path / "services.toml"
        services.write_text(f'[default]\n[providers.yunpian]\nurl = "{gateway.url}"\n')

        async def call(typed: str, *arguments: str) -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infra.command", "credentials", "yunpian", "--stack-name", STACK),
                *("--services", str(services), *arguments),
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
        assert f"{RECEIPTS_URL}/v1/receipts/yunpian/" in said

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


class _Empty:
    """A Secrets Manager that holds nothing, and remembers what it was asked."""

    def __init__(self, asked: list[dict[str, str]]) -> None:
        self.asked = asked

    async def put_secret_value(self, **named: str) -> None:
        self.asked.append(named)
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "PutSecretValue")

    async def create_secret(self, **named: Any) -> None:
        self.asked.append(named)


def _at(url: str) -> Configuration:
    return Configuration(providers={"yunpian": ProviderSettings(url=url)})
