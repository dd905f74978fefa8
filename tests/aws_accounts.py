"""What the tests of the two providers at AWS share: an account there, by the functions' own clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiobotocore.stub import AioStubber

from functions.aws import ONCE, Clients
from functions.providers.account import Account
from tests.adapters import an_account

REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "AKIAEXAMPLE", "a-secret-access-key"
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": REGION}


def set_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lambda gives them to a function."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def an_aws_account(http: aiohttp.ClientSession, url: str | None = None, **more: Any) -> AsyncIterator[Account]:
    async with AsyncExitStack() as resources:
        account = an_account({}, http, url=url)
        yield replace(account, open_aws=Clients(resources).open_once, **more)


@dataclass(frozen=True, slots=True)
class Stubbed:
    """An account whose client answers as botocore's Stubber is told, and checks requests by the service's model."""

    account: Account
    stub: AioStubber


@asynccontextmanager
async def a_stubbed_account(http: aiohttp.ClientSession, service: str, **more: Any) -> AsyncIterator[Stubbed]:
    config = ONCE.merge(AioConfig(parameter_validation=True))
    async with get_session().create_client(service, config=config) as client:
        with AioStubber(client) as stub:
            account = replace(an_account({}, http), open_aws=_giving(client), **more)
            yield Stubbed(account, stub)


def _giving(client: Any) -> Callable[[str, str | None], Awaitable[Any]]:
    async def open_aws(_service: str, _url: str | None) -> Any:
        return client

    return open_aws
