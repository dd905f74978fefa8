"""The operator's own service: POST of the number, and what it says of it, within 300 ms or not at all.

    → {"service": "shop", "region": "DE", "number": "+4915112345678", "ip": "192.0.2.7", "trusted": false}
    ← {"decision": "allow" | "deny" | "challenge"}

Signed as Standard Webhooks has it (functions/providers/standard_webhooks.py), with the service's own entry of the
secret, or with that of `*`. `ip` is null where the caller did not name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any

import msgspec

from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Said
from functions.domain.part import part
from functions.hooks.secret import entry_of
from functions.providers import standard_webhooks
from functions.providers.transport import Answer, Sessions, Timeouts, submit
from functions.usecases.ports import Journal, KeysUnavailable

BUDGET = 0.3
"""Seconds in all, the secret and the connection included."""
_TIMEOUTS = Timeouts(connect=0.25, whole=BUDGET)
_LARGEST = 4096
"""Bytes of an answer."""
_OK = 200
_DECISIONS = {"allow": Said.PASS, "deny": Said.DENY, "challenge": Said.CHALLENGE}


class _Decided(msgspec.Struct):
    decision: str


@part
class HttpRiskHook:
    fetch_secret: Callable[[], Awaitable[Mapping[str, Any]]] = field(repr=False)
    """A secret of Standard Webhooks by service. Raises KeysUnavailable."""
    session: Sessions = field(repr=False)
    journal: Journal

    async def ask(self, url: str, attempt: Attempt) -> Said | None:
        try:
            async with asyncio.timeout(BUDGET):
                found = await self._ask(url, attempt)
        except TimeoutError:
            found = "too_late"
        except (KeysUnavailable, ValueError) as error:
            found = f"secret: {error}"
        if isinstance(found, Said):
            return found
        self.journal("risk", service=attempt.service, outcome="no_answer", reason=found)
        return None

    async def _ask(self, url: str, attempt: Attempt) -> Said | str:
        """What it says, or why that is nothing."""
        body = _body(attempt)
        secret = entry_of(await self.fetch_secret(), attempt.service)
        headers = standard_webhooks.sign(secret, name=f"risk_{attempt.request}", at=attempt.at, body=body)
        headers["Content-Type"] = "application/json"
        answer = await submit(self.session(), url, body=body, headers=headers, timeouts=_TIMEOUTS, largest=_LARGEST)
        return _read(answer) if isinstance(answer, Answer) else answer.reason


def _body(attempt: Attempt) -> bytes:
    return msgspec.json.encode(
        {
            "service": attempt.service,
            "region": attempt.region,
            "number": attempt.to.e164,
            "ip": None if attempt.ip is None else str(attempt.ip),
            "trusted": attempt.trusted,
        }
    )


def _read(answer: Answer) -> Said | str:
    if answer.status != _OK:
        return f"status {answer.status}"
    try:
        return _DECISIONS[msgspec.json.decode(answer.body, type=_Decided).decision]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return "no_decision"
