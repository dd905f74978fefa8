"""What ./salvo doctor says of the secrets that challenges and the operator's own service need."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from functions.domain.guard.policy import Policy
from functions.domain.service import Service
from functions.service_file import Configuration
from infra.aws import Aws
from infra.deployed import Deployed
from infra.doctor.finding import Level
from infra.doctor.hooks import check_hooks
from infra.doctor.providers import check_spare_secrets
from infra.doctor.subject import Subject
from infra.local.embedded_aws import EmbeddedAws, aws_client
from tests.examined import now

GOOD = f"whsec_{'A' * 32}"
Stores = Callable[[str, Any], Awaitable[None]]


@pytest.fixture
def subject(aws: EmbeddedAws, http: aiohttp.ClientSession) -> Subject:
    """A stack whose one service has both."""
    name = f"hooks-{secrets.token_hex(4)}"
    policy = Policy(challenge_url="https://verifier.example", risk_url="https://risk.example")
    return Subject(
        aws=Aws("eu-central-1", functools.partial(aws_client, endpoint=aws.endpoint)),
        stack=Deployed(name=name, status="CREATE_COMPLETE", parameters={}, outputs={}, resources={}),
        configuration=Configuration(services={"shop": Service(name="shop", guard=policy)}),
        http=http,
        api="http://127.0.0.1:9",
        now=now,
    )


@pytest.fixture
async def http() -> Any:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def store(subject: Subject) -> Stores:
    async def put(kind: str, content: Any) -> None:
        name = f"{subject.stack.name}-provider-{kind}"
        async with subject.aws.client("secretsmanager") as client:
            await client.create_secret(Name=name, SecretString=json.dumps(content))

    return put


async def levels(subject: Subject) -> list[Level]:
    return [finding.level for finding in await check_hooks(subject)]


async def test_a_secret_that_is_missing_fails_with_the_command_that_makes_it(subject: Subject) -> None:
    findings = await check_hooks(subject)

    assert [finding.level for finding in findings] == [Level.FAIL, Level.FAIL]
    names = [f"{subject.stack.name}-provider-{kind}" for kind in ("challenge", "risk")]
    assert [name in finding.advice for name, finding in zip(names, findings, strict=True)] == [True, True]


async def test_secrets_with_an_entry_for_the_service_or_for_all_are_well(subject: Subject, store: Stores) -> None:
    await store("challenge", {"shop": "0x4AAA"})
    await store("risk", {"*": GOOD})

    assert await levels(subject) == [Level.OK, Level.OK]


async def test_a_secret_of_other_services_fails(subject: Subject, store: Stores) -> None:
    await store("challenge", {"else": "0x4AAA"})
    await store("risk", {"else": GOOD})

    assert await levels(subject) == [Level.FAIL, Level.FAIL]


async def test_an_entry_that_signs_nothing_fails_and_is_not_shown(subject: Subject, store: Stores) -> None:
    await store("challenge", {"*": "0x4AAA"})
    await store("risk", {"*": "by mistake"})

    findings = await check_hooks(subject)

    assert [finding.level for finding in findings] == [Level.OK, Level.FAIL]
    assert "by mistake" not in findings[1].found


async def test_nothing_is_said_where_no_service_has_a_hook(subject: Subject) -> None:
    plain = replace(subject, configuration=Configuration(services={"shop": Service(name="shop")}))

    assert await check_hooks(plain) == []


async def test_what_a_service_needs_is_not_called_spare(subject: Subject, store: Stores) -> None:
    await store("challenge", {"*": "0x4AAA"})
    plain = replace(subject, configuration=Configuration(services={"shop": Service(name="shop")}))

    assert await check_spare_secrets(subject) == []
    assert len(await check_spare_secrets(plain)) == 1
