"""Sinch, SMS REST API (XMS v1), as its two adapters speak it: the token, a batch, and what the codes mean.

Sources: the official SDKs (PyPI `sinch` 2.3.0; sinch/sinch-sdk-java d747cc3: `DeliveryReceiptStatusCode`), the error
table and the pages on batches and parameters of its documentation and, for the codes with 403, its community's article
on statuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts

BASE_URL = "https://{region}.sms.api.sinch.com"

LONGEST_VALIDITY = 3 * 86_400
"""Seconds: as long as Sinch keeps a message that names no end."""

_OK = frozenset({200, 201})
_FORBIDDEN = 403

_GROUPS: tuple[tuple[Outcome, frozenset[str]], ...] = (
    # Of a kind that this account's region does not send to.
    (Outcome.REJECTED_NUMBER, frozenset({"illegal_number_type"})),
    # The account, and what a campaign of the US has to have.
    (Outcome.CONFIG, frozenset({"blocked_account", "unknown_campaign"})),
    # Our request. The two that are about one field are the number's where they name it.
    (Outcome.CONFIG, frozenset({"syntax_invalid_json", "missing_callback_url", "unknown_group"})),
    (Outcome.CONFIG, frozenset({"syntax_invalid_parameter_format", "syntax_constraint_violation"})),
)
_OUTCOMES: Mapping[str, Outcome] = {code: outcome for outcome, codes in _GROUPS for code in codes}

_OF_A_FIELD = frozenset({"syntax_invalid_parameter_format", "syntax_constraint_violation"})
_OF_THE_ROUTE = frozenset({"illegal_number_type", "unknown_campaign"}) | _OF_A_FIELD
"""Kind of number, sender, or a field that comes from them: the next message may have others."""
_NAMES_THE_NUMBER = re.compile(r"""['"\[`]to['"\]`\[]|\bto\[|\brecipient""", re.IGNORECASE)

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 403, 404), Outcome.CONFIG)
"""400 and 403 with a code that is not in the table, 401 token, 404 service plan or region."""


class SinchSecret(Secret, frozen=True, kw_only=True):
    service_plan_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]+\Z")]
    api_token: Sensitive
    region: Annotated[str, msgspec.Meta(pattern=r"\A(us|eu|au|br|ca)\Z")] = "us"
    webhook_secret: Sensitive | None = None
    """Where Sinch has switched signed callbacks on for the plan: each report then has to be signed."""


def open_single(provider: str, account: Account, timeouts: Timeouts) -> Gateway[SinchSecret]:
    """Sends batches of one. Sinch knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=provider,
        account=account,
        credentials=Credentials(provider, account.fetch_secret, SinchSecret),
        request=partial(_batch_of_one, provider),
        judge=partial(judge, provider),
        timeouts=timeouts,
    )


def _batch_of_one(provider: str, message: Message, secret: SinchSecret, account: Account) -> Request:
    batch: dict[str, object] = {
        "from": message.sender,
        "to": [message.to.e164],
        "body": message.text.reveal(),
        "type": "mt_text",
        "client_reference": message.reference,
        "expire_at": expiry(message, account),
    }
    receipts = account.message_receipts(provider, secret.receipt_token, message.reference)
    if receipts is not None:
        # The only kind that tells of the hand-over to the carrier, too.
        batch |= {"delivery_report": "per_recipient", "callback_url": receipts}
    return post(batch, secret, account)


def post(batch: Mapping[str, object], secret: SinchSecret, account: Account) -> Request:
    base_url = account.url or BASE_URL.format(region=secret.region)
    return Request(
        url=f"{base_url}/xms/v1/{secret.service_plan_id}/batches",
        body=msgspec.json.encode(batch),
        headers={"Authorization": f"Bearer {secret.api_token.reveal()}", "Content-Type": "application/json"},
    )


def expiry(message: Message, account: Account) -> str:
    """A moment, where others take seconds."""
    seconds = min(max(message.valid_for, 1), LONGEST_VALIDITY)
    return datetime.fromtimestamp(account.clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Reply(msgspec.Struct):
    """An answer's body. `text` can name the number: it is looked through for the name of the number's field alone."""

    id: str | None = None
    code: str | None = None
    text: str | None = None


def judge(provider: str, answer: Answer) -> SendResult:
    """An id where it was taken; a code in the body of a refusal, which decides over the status."""
    reply = _parse(answer.body)
    taken = answer.status in _OK
    if taken and reply.id:
        return SendResult(provider=provider, outcome=Outcome.ACCEPTED, message_id=reply.id)
    if taken or reply.code is None or reply.code not in _OUTCOMES:
        by = by_status(provider, answer, _BY_STATUS)
        # Sinch refuses kinds of numbers with 403, too.
        return replace(by, scope=Scope.ROUTE) if reply.code and answer.status == _FORBIDDEN else by
    outcome, scope = _sense(reply.code, reply.text or "")
    return SendResult(
        provider=provider,
        outcome=outcome,
        reason=f"sinch_{reply.code}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _sense(code: str, text: str) -> tuple[Outcome, Scope]:
    if code in _OF_A_FIELD and _NAMES_THE_NUMBER.search(text):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    return _OUTCOMES[code], Scope.ROUTE if code in _OF_THE_ROUTE else Scope.PROVIDER


def _parse(body: bytes) -> _Reply:
    """Empty where it is none of Sinch's."""
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (ValueError, RecursionError):
        return _Reply()
