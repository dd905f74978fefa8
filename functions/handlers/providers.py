"""The providers that the configuration names: only their modules are imported, and only their accounts opened."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from functions.aws import Clients
from functions.domain.part import part
from functions.providers.account import Account
from functions.providers.catalog import PROVIDERS
from functions.providers.transport import Sessions
from functions.route_file import ProviderSettings
from functions.runtime import wall_clock
from functions.settings import Common
from functions.stores.secrets_manager import CachedSecret
from functions.usecases.ports import Journal, KeysUnavailable, LearningProvider, Provider

LOOKING = 1.0
"""Seconds of the first invocation that the credentials of all providers are given. A store of secrets that answers
takes a tenth of it, and of one that does not the message itself will tell."""

FetchSecret = Callable[[], Awaitable[Mapping[str, Any]]]


@part
class Accounts:
    common: Common
    clients: Clients
    secrets_client: Any
    session: Sessions

    async def open_all(self) -> dict[str, Provider]:
        """A provider for each name that a route has."""
        return {name: await self._open(name) for name in sorted(self.common.configuration.named)}

    async def _open(self, name: str) -> Provider:
        settings = settings_of(self.common, name)
        account = Account(
            fetch_secret=secret_of(name, self.common, self.secrets_client),
            session=self.session,
            open_aws=self.clients.open_once,
            clock=wall_clock,
            entropy=secrets.token_bytes,
            url=f"{self.common.providers_url}/{name}" if self.common.providers_url else settings.url,
            receipts_url=self.common.receipts_url,
            configuration_set=configuration_set_of(self.common, settings),
        )
        provider: Provider = await module_of(name).open_provider(account)
        return provider


def module_of(name: str) -> ModuleType:
    return import_module(f"functions.providers.{name}")


def settings_of(common: Common, name: str) -> ProviderSettings:
    return common.configuration.providers.get(name, ProviderSettings())


def configuration_set_of(common: Common, settings: ProviderSettings) -> str | None:
    """AWS's. The stack's own there is in its own region only."""
    return settings.configuration_set or (None if settings.url else common.configuration_set)


def heard_of(common: Common) -> frozenset[str]:
    """The providers whose receipts come to us: as events of AWS's, or to our address."""
    return frozenset(name for name in common.configuration.named if _is_heard_of(common, name))


def _is_heard_of(common: Common, name: str) -> bool:
    module = module_of(name)
    if hasattr(module, "read_event"):
        return configuration_set_of(common, settings_of(common, name)) is not None
    return common.receipts_url is not None and hasattr(module, "RECEIPTS")


def secret_of(name: str, common: Common, secrets_client: Any, *, failure_stands: int = 0) -> FetchSecret:
    """The provider's secret, cached."""
    owner = PROVIDERS[name].secret
    if owner is None:
        return _no_secret
    secret_id = common.provider_secrets + owner
    return CachedSecret(secrets_client, secret_id, wall_clock, failure_stands=failure_stands).value


async def _no_secret() -> Mapping[str, Any]:
    return {}


def learning(providers: Mapping[str, Provider]) -> dict[str, LearningProvider]:
    """Those that want to hear of approvals."""
    return {name: provider for name, provider in providers.items() if isinstance(provider, LearningProvider)}


@dataclass(slots=True)
class Readiness:
    """Looks at every provider's credentials once, before the first message: a mistake shows before it is needed.

    Not when the function starts: what is fetched there would lie in its snapshots.
    """

    providers: Iterable[Provider]
    journal: Journal
    _looked: bool = False

    async def __call__(self) -> None:
        if self._looked:
            return
        self._looked = True
        async with asyncio.TaskGroup() as looks:
            for provider in self.providers:
                looks.create_task(self._look_at(provider))

    async def _look_at(self, provider: Provider) -> None:
        try:
            async with asyncio.timeout(LOOKING):
                await provider.prepare()
        except KeysUnavailable as error:
            self.journal("provider", provider=provider.name, outcome="unusable", reason=str(error))
        except TimeoutError:
            return
