"""One call to AWS that sends, and the sense of what botocore makes of a failure.

aiobotocore wraps aiohttp's exceptions in botocore's, and loses on the way whether the request had left: a connection
that could not be made and one that broke under an answer are both its EndpointConnectionError (3.10:
`httpsession.AIOHTTPSession.send`). So it is the wrapped one that is looked at, as for every other provider.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import field
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from functions.domain.delivery import Outcome, Scope, SendResult
from functions.domain.frozen import frozen
from functions.providers.gateway import by_status
from functions.providers.transport import Answer, NotSent, Unknown, classify, without_answer

_SERVER_ERROR = 500
_SECONDS = re.compile(r"[0-9]{1,5}")
_WORD = re.compile(r"[A-Za-z._]{1,80}")
"""A code or a reason of AWS's: they have no digits, and whatever does may be a number."""

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)

THROTTLED = frozenset({"Throttled", "ThrottledException", "Throttling", "ThrottlingException"})
"""What AWS's services call one and the same thing: the account's calls or messages a second."""


@frozen(kw_only=True)
class Refusal:
    """AWS's own no."""

    code: str
    status: int
    retry_after: int | None
    response: Mapping[str, Any] = field(repr=False)
    """Its message can name the number."""

    @property
    def is_a_failure_of_aws(self) -> bool:
        """Said in AWS's words: an answer without them can come from anything on the way."""
        return self.status >= _SERVER_ERROR


async def ask(provider: str, call: Awaitable[Mapping[str, Any]], *, whole: float) -> str | Refusal | SendResult:
    """The message's id, AWS's refusal, or the result where neither came within `whole` seconds.

    Raises nothing for what AWS or the network does; a cancellation goes through.
    """
    try:
        async with asyncio.timeout(whole):
            answer = await call
    except ClientError as error:
        return _refusal(provider, error)
    except _NO_CREDENTIALS:
        return SendResult(provider=provider, outcome=Outcome.CONFIG, reason="no_credentials")
    except Exception as error:  # noqa: BLE001 - on a body that is not AWS's, botocore's parsers fail in every way
        return without_answer(provider, _fault(error))
    message_id = answer.get("MessageId")
    return message_id if isinstance(message_id, str) else without_answer(provider, Unknown("not_aws"))


def refused(
    provider: str, refusal: Refusal, outcome: Outcome, scope: Scope = Scope.PROVIDER, *, because: str = ""
) -> SendResult:
    """`because`: AWS's reason, where it gives one besides the code."""
    return SendResult(
        provider=provider,
        outcome=outcome,
        reason=f"{provider}_{because if _WORD.fullmatch(because) else refusal.code}",
        retry_after=refusal.retry_after,
        scope=scope,
    )


def _refusal(provider: str, error: ClientError) -> Refusal | SendResult:
    """Where no body of AWS's came, botocore has the status for a code, or "Unknown"."""
    code = error.response.get("Error", {}).get("Code")
    told = error.response.get("ResponseMetadata", {})
    status, headers = int(told.get("HTTPStatusCode", 0)), told.get("HTTPHeaders", {})
    stated = str(headers.get("retry-after", ""))
    retry_after = int(stated) if _SECONDS.fullmatch(stated) else None
    if not isinstance(code, str) or not _WORD.fullmatch(code) or code == "Unknown":
        return by_status(provider, Answer(status=status, body=b"", retry_after=retry_after))
    return Refusal(code=code, status=status, retry_after=retry_after, response=error.response)


def _fault(error: Exception) -> NotSent | Unknown:
    if isinstance(error, TimeoutError):
        return Unknown("read_timeout")
    if isinstance(error, ProxyConnectionError):
        return NotSent("no_connection")
    wrapped = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    return classify(wrapped) if isinstance(wrapped, aiohttp.ClientError | OSError) else Unknown("not_aws")
