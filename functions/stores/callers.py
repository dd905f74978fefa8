"""Who may call, from a secret that names callers by the digests of their keys."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated

import msgspec

from functions.domain.caller import EVERYTHING, MOST_SERVICES, Caller, Scope
from functions.stores.secrets_manager import CachedSecret

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SecretCallers:
    """`{"<SHA-256 of the key, in hex>": {"name": "checkout", "scopes": ["check"], "services": ["shop"]}}`.

    Scopes or services that are not there are all of them.
    """

    secret: CachedSecret

    async def caller_of(self, key_digest: str) -> Caller | None:
        """None, too, for an entry that makes no sense: a slip in its scopes must not open everything."""
        entry = (await self.secret.value()).get(key_digest)
        if entry is None:
            return None
        try:
            return msgspec.convert(entry, _CallerEntry).caller()
        except msgspec.ValidationError:
            _log.warning("secret %s: the entry of a key in use makes no sense, so it is refused", self.secret.secret_id)
            return None


class _CallerEntry(msgspec.Struct):
    name: str
    scopes: frozenset[Scope] = EVERYTHING
    services: Annotated[frozenset[str], msgspec.Meta(min_length=1, max_length=MOST_SERVICES)] | None = None

    def caller(self) -> Caller:
        return Caller(name=self.name, scopes=self.scopes, services=self.services)
