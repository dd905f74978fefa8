"""Our account at a provider: what an adapter is given by the function that it runs in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from functions.domain.part import part
from functions.domain.receipt_token import account_token, message_token
from functions.domain.sensitive import Sensitive
from functions.providers.transport import Sessions
from functions.usecases.ports import Clock, Entropy


@part
class Account:
    fetch_secret: Callable[[], Awaitable[Mapping[str, Any]]]
    """Raises KeysUnavailable."""
    session: Sessions
    open_aws: Callable[[str, str | None], Awaitable[Any]]
    """An aiobotocore client that lives as long as the function and never tries twice: of this service, at this address
    (None: AWS's own)."""
    clock: Clock
    entropy: Entropy
    url: str | None = None
    """Instead of the provider's own address, without a slash at the end. It may have a path."""
    receipts_url: str | None = None
    """Where the API is reached from outside, without a slash at the end. None: no receipts are asked for."""
    configuration_set: str | None = None
    """At AWS, which tells by events what became of a message: the set whose events come to us. None: no receipts."""

    def message_receipts(self, provider: str, secret: Sensitive, reference: str) -> str | None:
        """The address for the receipts of one message."""
        return self._address(provider, message_token(secret, provider, reference))

    def account_receipts(self, provider: str, secret: Sensitive) -> str | None:
        """The one address for the receipts of all messages, where a provider's own limits leave no room for more."""
        return self._address(provider, account_token(secret, provider))

    def _address(self, provider: str, token: str) -> str | None:
        return None if self.receipts_url is None else f"{self.receipts_url}/v1/receipts/{provider}/{token}"
