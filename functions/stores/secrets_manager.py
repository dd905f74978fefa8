"""Secrets Manager: JSON secrets, fetched once and cached, one fetch at a time however many ask."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.identity import is_key_id
from functions.domain.keys import Keyring, derive
from functions.domain.sensitive import Sensitive
from functions.usecases.ports import Clock, KeysUnavailable

_log = logging.getLogger(__name__)

FRESH_FOR = 300
"""Seconds that a secret is used before it is looked up again; a rotation reaches every sandbox within this time."""
ASK_AGAIN_AFTER = 30
"""Seconds between two look-ups for what is not there, a key id or a whole secret: whoever may make us ask, at a start
or with made-up ids, must not drive the bill."""

_SHORTEST_ENTRY = 43
"""Characters: 256 bits in base64."""
_BEFORE, _FROM = "index_before", "index_from"
_ROLES = ("pepper", "index", _BEFORE)
"""They name entries."""


@dataclass(slots=True)
class CachedSecret:
    """One JSON object of texts. Holds its last good value through an outage of Secrets Manager."""

    client: Any
    """An aiobotocore Secrets Manager client."""
    secret_id: str
    clock: Clock
    fresh_for: int = FRESH_FOR
    failure_stands: int = 0
    """Seconds that a secret that never came is not asked for again. For where anybody may make us ask."""
    _value: Mapping[str, Any] | None = field(default=None, repr=False)
    _fetched_at: int = 0
    _failures: int = 0
    _failure: str = ""
    _failed_at: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def value(self, *, newer_than: int | None = None) -> Mapping[str, Any]:
        """The secret, at most `fresh_for` seconds old, or fetched after `newer_than`. Raises KeysUnavailable."""
        oldest = self.clock() - self.fresh_for if newer_than is None else newer_than
        if self._value is not None and self._fetched_at > oldest:
            return self._value
        if self._value is None and self._failed_at > self.clock() - self.failure_stands:
            raise KeysUnavailable(self._failure)
        failures = self._failures
        async with self._lock:
            if self._failures != failures:
                # Who waited for a fetch shares its end: a batch would else sit out one time-out after another.
                raise KeysUnavailable(self._failure)
            if self._value is None or self._fetched_at <= oldest:
                await self._refresh()
            return self._value or {}

    async def _refresh(self) -> None:
        try:
            self._value = await self._fetch()
        except KeysUnavailable as error:
            if self._value is None:
                self._failures, self._failure, self._failed_at = self._failures + 1, str(error), self.clock()
                raise
            _log.warning("its last value is used on: %s", error)
        self._fetched_at = self.clock()

    async def _fetch(self) -> Mapping[str, Any]:
        try:
            answer = await self.client.get_secret_value(SecretId=self.secret_id)
        except ClientError as error:
            raise KeysUnavailable(f"secret {self.secret_id}: {error.response['Error']['Code']}") from None
        except BotoCoreError as error:
            raise KeysUnavailable(f"secret {self.secret_id}: {type(error).__name__}") from None
        try:
            value = json.loads(answer["SecretString"])
        except (KeyError, ValueError):
            raise KeysUnavailable(f"secret {self.secret_id} is not a JSON text") from None
        if not isinstance(value, dict):
            raise KeysUnavailable(f"secret {self.secret_id} is not a JSON object")
        return value


@dataclass(slots=True)
class SecretKeys:
    """The keyring: `{"pepper": "k2", "index": "k1", "k1": "<random text>", "k2": "<random text>"}`.

    `pepper` names the entry that new codes use, `index` the one that numbers are keyed with; each entry is at least 43
    random characters. To rotate the pepper, add an entry and name it; older codes check with the one they were made by.
    To rotate the index key, name the old one in `index_before`, and in `index_from` the second from which on the new
    one holds: a function may be minutes late with what the secret says, and all must change at once.
    """

    secret: CachedSecret
    _asked_at: int = 0
    _made_from: Mapping[str, Any] | None = field(default=None, repr=False)
    _changed: bool = False
    _keyring: Keyring | None = None

    async def keyring(self) -> Keyring:
        return self._ring(await self.secret.value())

    async def pepper(self, kid: str) -> bytes | None:
        keys = await self.keyring()
        if kid not in keys.peppers:
            now = self.secret.clock()
            if self._asked_at <= now - ASK_AGAIN_AFTER:
                self._asked_at = now
            # While another request is asking, this waits for the same answer; afterwards it is there already.
            keys = self._ring(await self.secret.value(newer_than=self._asked_at - 1))
        return keys.peppers.get(kid)

    def _ring(self, value: Mapping[str, Any]) -> Keyring:
        now = self.secret.clock()
        changed = _index_has_changed(value, now)
        if self._keyring is None or value is not self._made_from or changed is not self._changed:
            self._keyring = parse_keyring(value, self.secret.secret_id, now=now)
            self._made_from, self._changed = value, changed
        return self._keyring


def parse_keyring(value: Mapping[str, Any], name: str, *, now: int) -> Keyring:
    """Raises KeysUnavailable with what is wrong, and nothing of the secret's content."""
    entries = {kid: text for kid, text in value.items() if kid not in {*_ROLES, _FROM}}
    _refuse_entries(entries, name)
    _refuse_roles(value, entries, name)
    keys = {kid: derive(text, "index") for kid, text in entries.items()}
    index, before = keys[value["index"]], keys.get(value.get(_BEFORE, ""))
    if before is not None and not _index_has_changed(value, now):
        index, before = before, None
    return Keyring(
        current=value["pepper"],
        peppers={kid: derive(text, "pepper") for kid, text in entries.items()},
        index=index,
        index_before=before,
    )


def _refuse_entries(entries: Mapping[str, Any], name: str) -> None:
    if not all(map(is_key_id, entries)):
        # Not told which: a name that is none may be a key in the wrong place.
        raise KeysUnavailable(f"secret {name}: each of its entries is named by 1 to 8 of a-z and 0-9")
    weak = sorted(kid for kid, text in entries.items() if not isinstance(text, str) or len(text) < _SHORTEST_ENTRY)
    if weak:
        raise KeysUnavailable(f"secret {name}: {', '.join(weak)} must be at least {_SHORTEST_ENTRY} random characters")


def _refuse_roles(value: Mapping[str, Any], entries: Mapping[str, Any], name: str) -> None:
    for role in _ROLES:
        needed = role in value or role != _BEFORE
        if needed and (not isinstance(value.get(role), str) or value[role] not in entries):
            raise KeysUnavailable(f"secret {name}: {role} must name one of its entries")
    if _FROM in value and (type(value[_FROM]) is not int or _BEFORE not in value):
        raise KeysUnavailable(f"secret {name}: {_FROM} must be seconds since 1970, beside {_BEFORE}")


def _index_has_changed(value: Mapping[str, Any], now: int) -> bool:
    since = value.get(_FROM, 0)
    return not isinstance(since, int) or since <= now


async def text_in(secret: CachedSecret, name: str) -> Sensitive:
    """One text of the secret. Raises KeysUnavailable where it is missing or empty."""
    text = (await secret.value()).get(name)
    if not isinstance(text, str) or not text:
        raise KeysUnavailable(f"secret {secret.secret_id}: {name} is missing")
    return Sensitive(text)
