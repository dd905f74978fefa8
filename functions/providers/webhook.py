"""Anybody's own gateway: one that a team runs itself, or whose vendor has no adapter here.

**The request** is a POST of JSON, or of a form (`"format": "form"`), with these fields as far as there is something to
say:

    to         +4915112345678 (with `"numbers": "digits"` 4915112345678)
    text       what the phone is to show
    code       the code alone, for gateways with templates of their own
    reference  of this message; comes back in its receipts. The same again is the same message, tried once more
    valid_for  seconds after which the message is of no use
    receipts   the address for this message's receipts
    sender, template, signature, entity   as the route names them

**The secret** holds, beside `receipt_token`:

    url             where to, if services.toml names no url for the provider. https, unless it is on this machine
    headers         {"Authorization": "Bearer …"}: whatever the gateway knows us by
    signing_secret  whsec_…: signs our requests as Standard Webhooks has it (functions/providers/standard_webhooks.py);
                    webhook-id is the reference with _ for its point
    receipts_secret whsec_…: then every receipt has to be signed in the same way
    format          "json" (the default) or "form"
    numbers         "e164" (the default) or "digits"
    fields          {"to": "msisdn", "text": "message"}: their names for ours. What is not named is left out
    extra           {"user": "acme"}: sent as they are, for gateways that want their key among the fields
    any_answer      true: each 2xx says that the message was taken, whatever is in it ("OK 4711")

**The answer** is 204, or any 2xx with a JSON object:

    id, or message_id    of the message, where it has one
    segments, price      3, "0.05 EUR"
    outcome              not accepted but: rejected_number, rejected_content, throttled_recipient, throttled_account,
                         config, transient (all of them: not taken) or unknown. It counts with every status
    scope                how far that reaches: "provider" (the default), "route" (another provider may be asked about
                         this number), "forbidden" (nobody else may)
    reason               a word for it, without six digits in a row, which might be the number or the code
    retry_after          seconds

Without an outcome the status speaks: 400 and 422 mean that this message cannot be sent here, and another provider is
asked; 401, 402, 403, 404, 405 and 415 that the configuration is wrong; 429, with Retry-After, that we are too fast.
After anything else nobody knows whether the message was taken, and it is not sent again.

**Receipts** are POSTed to `receipts` as a JSON object, or a list of them:

    status     sent (the carrier has it), delivered or failed; whatever else is acknowledged and ignored
    reference  may be left out where the address came with the message
    reason     a word for a failure
    at         when: seconds since 1970, or 2027-01-15T08:00:00Z
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.part import part
from functions.providers import standard_webhooks
from functions.providers.account import Account
from functions.providers.credentials import Credentials
from functions.providers.gateway import USUAL, Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts
from functions.providers.webhook_receipts import WebhookReceipts
from functions.providers.webhook_secret import FIELDS, WebhookSecret
from functions.usecases.ports import KeysUnavailable

NAME = "webhook"
RECEIPTS = WebhookReceipts(NAME)

_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_SUCCESSES = range(200, 300)
_NO_CONTENT = 204
_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 402, 403, 404, 405, 415, 422), Outcome.CONFIG)
_UNREADABLE = "unreadable"
"""The reason of a success with no JSON object in it: a page of something in between, or a gateway's own way."""

_ID = re.compile(r"[A-Za-z0-9_:.-]{1,64}")
_REASON = re.compile(r"(?!.*[0-9]{6})[A-Za-z0-9_:.-]{1,32}")
_PRICE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})? [A-Z]{3}")
_OUTCOMES = frozenset(Outcome)
_SCOPES = frozenset(Scope)
_MOST = 86_400
"""Seconds to wait; parts of a message are fewer."""
_LARGEST = 2**63


@part
class Webhook(Gateway[WebhookSecret]):
    """Whether a success needs words is the secret's to say, and `judge` knows the answer alone."""

    async def send(self, message: Message) -> SendResult:
        result = await Gateway.send(self, message)
        if result.reason != _UNREADABLE:
            return result
        secret = await self.credentials_in_time()
        if secret is None or not secret.any_answer:
            return result
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED)


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Webhook:
    async def fetch() -> Mapping[str, Any]:
        secret = await account.fetch_secret()
        if account.url is None and not secret.get("url"):
            raise KeysUnavailable("neither its secret nor services.toml names a url")
        return secret

    return Webhook(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, fetch, WebhookSecret),
        request=_request,
        judge=_judge,
        timeouts=timeouts,
    )


def _request(message: Message, secret: WebhookSecret, account: Account) -> Request:
    fields = _named(_fields(message, secret, account), secret)
    body = msgspec.json.encode(fields) if secret.format == "json" else urlencode(fields).encode()
    headers = {name: value.reveal() for name, value in secret.headers.items()}
    headers["Content-Type"] = _CONTENT_TYPES[secret.format]
    if secret.signing_secret is not None:
        name = message.reference.replace(".", "_")  # a point ends the id in what is signed
        headers |= standard_webhooks.sign(secret.signing_secret, name=name, at=account.clock(), body=body)
    return Request(url=account.url or _url(secret), body=body, headers=headers)


def _url(secret: WebhookSecret) -> str:
    """That there is one is known before a request is made."""
    return "" if secret.url is None else secret.url.reveal()


def _fields(message: Message, secret: WebhookSecret, account: Account) -> dict[str, object]:
    fields = {
        "to": message.to.e164 if secret.numbers == "e164" else message.to.e164[1:],
        "text": message.text.reveal(),
        "code": message.code.reveal(),
        "reference": message.reference,
        "valid_for": message.valid_for,
        "receipts": account.message_receipts(NAME, secret.receipt_token, message.reference),
        "sender": message.sender,
        "template": message.template,
        "signature": message.signature,
        "entity": message.entity,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _named(fields: Mapping[str, object], secret: WebhookSecret) -> dict[str, object]:
    names = secret.fields or {name: name for name in FIELDS}
    extra: dict[str, object] = {name: value.reveal() for name, value in secret.extra.items()}
    return extra | {names[name]: value for name, value in fields.items() if name in names}


def _judge(answer: Answer) -> SendResult:
    said = _parse(answer.body)
    outcome = _outcome(said, answer.status)
    if outcome is None:
        return _by_status(answer)
    said = said or {}
    if outcome is Outcome.ACCEPTED:
        return _accepted(said)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{_text(said.get('reason'), _REASON) or outcome}",
        retry_after=_number(said.get("retry_after"), answer.retry_after),
        scope=_scope(said.get("scope")),
    )


def _parse(body: bytes) -> Mapping[str, Any] | None:
    """None for what is no JSON object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError):
        return None


def _outcome(said: Mapping[str, Any] | None, status: int) -> Outcome | None:
    """None where it does not say, says what we do not know, or says that it was taken with a status that denies it."""
    if said is None:
        return Outcome.ACCEPTED if status == _NO_CONTENT else None
    success = status in _SUCCESSES
    told = said.get("outcome") or (Outcome.ACCEPTED if success else None)
    if not isinstance(told, str) or told not in _OUTCOMES or (told == Outcome.ACCEPTED and not success):
        return None
    return Outcome(told)


def _accepted(said: Mapping[str, Any]) -> SendResult:
    return SendResult(
        provider=NAME,
        outcome=Outcome.ACCEPTED,
        message_id=_text(said.get("id", said.get("message_id")), _ID),
        segments=_number(said.get("segments"), None),
        price=_text(said.get("price"), _PRICE),
    )


def _by_status(answer: Answer) -> SendResult:
    if answer.status in _SUCCESSES:
        return SendResult(provider=NAME, outcome=Outcome.UNKNOWN, reason=_UNREADABLE)
    return by_status(NAME, answer, _BY_STATUS)


def _text(value: object, pattern: re.Pattern[str]) -> str | None:
    """A number is a text here: gateways count their messages."""
    text = str(value) if isinstance(value, int) and abs(value) < _LARGEST else value
    return text if isinstance(text, str) and pattern.fullmatch(text) else None


def _number(value: object, otherwise: int | None) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _MOST else otherwise


def _scope(value: object) -> Scope:
    return Scope(value) if isinstance(value, str) and value in _SCOPES else Scope.PROVIDER
