"""Challenges of somebody else's: Turnstile, hCaptcha, reCAPTCHA, or whatever verifies in the form that they share.

    → secret=…&response=…[&remoteip=…]
    ← {"success": true | false, "error-codes": […]}

Whether one was solved is asked of them, once, at the service's `challenge_url`. The secret is the service's own entry,
or that of `*`. Whom we can't ask lets nobody through.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlencode

import msgspec

from functions.domain.guard.attempt import Attempt
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.hooks.secret import entry_of
from functions.providers.transport import Answer, Sessions, Timeouts, submit
from functions.usecases.ports import HookUnavailable, Journal

_TIMEOUTS = Timeouts(connect=1.0, whole=2.0)
_LARGEST = 4096
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ERROR_CODE = re.compile(r"[a-z-]{1,40}")
_NAME_CHARACTERS = 32


class _Verdict(msgspec.Struct):
    success: bool
    error_codes: list[str] = msgspec.field(name="error-codes", default_factory=list)


@part
class HttpVerifier:
    fetch_secret: Callable[[], Awaitable[Mapping[str, Any]]] = field(repr=False)
    """Raises KeysUnavailable."""
    session: Sessions = field(repr=False)
    journal: Journal

    async def solved(self, solution: Sensitive, attempt: Attempt) -> str | None:
        """A digest of the solution. Raises KeysUnavailable, HookUnavailable."""
        form = {"secret": entry_of(await self.fetch_secret(), attempt.service).reveal(), "response": solution.reveal()}
        if attempt.ip is not None:
            form["remoteip"] = str(attempt.ip)
        verdict = await self._ask(attempt.policy.challenge_url or "", urlencode(form).encode())
        if not verdict.success:
            self.journal("challenge", service=attempt.service, outcome="unsolved", reason=_reason(verdict))
            return None
        return hashlib.sha256(solution.reveal().encode()).hexdigest()[:_NAME_CHARACTERS]

    async def _ask(self, url: str, body: bytes) -> _Verdict:
        answer = await submit(self.session(), url, body=body, headers=_FORM, timeouts=_TIMEOUTS, largest=_LARGEST)
        if not isinstance(answer, Answer):
            raise HookUnavailable(f"the challenge's verifier: {answer.reason}")
        try:
            return msgspec.json.decode(answer.body, type=_Verdict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise HookUnavailable(f"the challenge's verifier: status {answer.status}, and no verdict") from None


def _reason(verdict: _Verdict) -> str | None:
    """Such as invalid-input-secret, which is the operator's to mend."""
    return " ".join(code for code in verdict.error_codes[:5] if _ERROR_CODE.fullmatch(code)) or None
