"""Plivo, Message API v1: one message a request, its status callbacks, and word of the codes that came to use.

Sources: the official SDK (PyPI `plivo` 4.63.0: `resources/messages.py`, `utils/`), the pages «Send a message», «Message
status callbacks» and «Conversion feedback» of its documentation, and the changelog on `message_expiry`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeAlias
from urllib.parse import parse_qsl, quote

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.gateway import USUAL, Gateway, Request, basic_authorization, by_status
from functions.providers.report_fields import ended
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Push

NAME = "plivo"
BASE_URL = "https://api.plivo.com"

SHORTEST_EXPIRY, LONGEST_EXPIRY = 5, 10_799
"""Seconds in Plivo's queue."""

_INDIA = 91
_ACCEPTED = 202
_ABOUT_THE_REQUEST = frozenset({400, 422})

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 403, 404, 405, 422), Outcome.CONFIG)
"""400 and 422 our request, 401 and 403 key, 404 and 405 the address. There are no codes beside the status."""

_POOL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMES_THE_NUMBER = re.compile(r"\bdst\b")
_NO_ERROR = "000"
_BLOCKED = frozenset({"30", "200"})
"""30 as spam, 200 the person has answered STOP."""
_MOST_FIELDS = 64

Pairs: TypeAlias = list[tuple[str, str]]


class PlivoSecret(Secret, frozen=True, kw_only=True):
    auth_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]+\Z")]
    auth_token: Sensitive
    """Signs the callbacks, too."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[PlivoSecret]:
    """Plivo knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, PlivoSecret),
        request=_message,
        judge=_judge,
        feedback=_conversion,
        timeouts=timeouts,
    )


def _message(message: Message, secret: PlivoSecret, account: Account) -> Request:
    described: dict[str, object] = {
        **_sender(message.sender or ""),
        **_registration(message),
        "dst": message.to.e164.removeprefix("+"),
        "text": message.text.reveal(),
        "type": "sms",
        "log": "false",  # else the console shows the code
        "trackable": True,
        "message_expiry": min(max(message.valid_for, SHORTEST_EXPIRY), LONGEST_EXPIRY),
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        described |= {"url": receipts, "method": "POST"}
    return _request(f"/v1/Account/{secret.auth_id}/Message/", described, secret, account)


def _sender(sender: str) -> dict[str, str]:
    """A number or a name; or a Powerpack's id, whose pool of numbers is then used."""
    return {"powerpack_uuid": sender} if _POOL.fullmatch(sender) else {"src": sender.removeprefix("+")}


def _registration(message: Message) -> dict[str, str]:
    """What India's register of senders asks for."""
    if message.to.country_code != _INDIA:
        return {}
    registered = {"dlt_entity_id": message.entity, "dlt_template_id": message.template}
    return {name: value for name, value in registered.items() if value is not None}


def _conversion(message_id: str, secret: PlivoSecret, account: Account) -> Request:
    at = datetime.fromtimestamp(account.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = f"/v1/account/{secret.auth_id}/message/{quote(message_id, safe='')}/conversion/"
    return _request(path, {"status": "CONVERTED", "timestamp": at}, secret, account)


def _request(path: str, content: Mapping[str, object], secret: PlivoSecret, account: Account) -> Request:
    return Request(
        url=f"{account.url or BASE_URL}{path}",
        body=msgspec.json.encode(content),
        headers={
            "Accept": "application/json",
            "Authorization": basic_authorization(secret.auth_id, secret.auth_token),
            "Content-Type": "application/json",
        },
    )


class _Reply(msgspec.Struct):
    message_uuid: Annotated[list[str], msgspec.Meta(min_length=1)]


class _Problem(msgspec.Struct):
    error: str
    """Looked through for the name of a field only: it can hold the number."""


def _judge(answer: Answer) -> SendResult:
    result = by_status(NAME, answer, _BY_STATUS)
    try:
        if answer.status == _ACCEPTED:
            uuid = msgspec.json.decode(answer.body, type=_Reply).message_uuid[0]
            return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=uuid)
        if answer.status in _ABOUT_THE_REQUEST:
            return _refused(result, msgspec.json.decode(answer.body, type=_Problem))
    except (ValueError, RecursionError):
        return result
    return result


def _refused(result: SendResult, problem: _Problem) -> SendResult:
    if _NAMES_THE_NUMBER.search(problem.error):
        return replace(result, outcome=Outcome.REJECTED_NUMBER, scope=Scope.PROVIDER)
    return result


_STATUSES: Mapping[str, DeliveryStatus] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "rejected": DeliveryStatus.FAILED,
}


@part
class PlivoReceipts:
    """Reads the status callbacks: a form for each part of a message, signed with the account's token.

    The signature has a nonce and no time: an old callback cannot be told from a new one, and moves nothing backwards.
    """

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()
    """200. After another Plivo calls again."""

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """None for those of the account's address: Plivo sends no reference of ours along. Its times have no zone,
        so a receipt is of now.

        Raises InvalidSignature, InvalidRequest, and KeysUnavailable.
        """
        pairs = _parse_form(push.body)
        _verify(push, pairs, read_secret(NAME, secret, PlivoSecret).auth_token)
        form = dict(pairs)
        if "Status" not in form or "MessageUUID" not in form:
            raise InvalidRequest("not the status of a message")
        status = _STATUSES.get(form["Status"])
        if status is None or push.reference is None:
            return ()
        code = form.get("ErrorCode")
        status, reason = ended(status, None if code == _NO_ERROR else code, _BLOCKED)
        return (Receipt(provider=NAME, reference=push.reference, status=status, reason=reason, at=now),)


RECEIPTS = PlivoReceipts()


def _parse_form(body: bytes) -> Pairs:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("not a form") from None


def _verify(push: Push, pairs: Pairs, token: Sensitive) -> None:
    """By V3, which covers the form; by V2, which covers the address, only where there is no V3."""
    version = "v3" if "x-plivo-signature-v3" in push.headers else "v2"
    nonce = push.headers.get(f"x-plivo-signature-{version}-nonce", "")
    signed = f"{_address(push.url, pairs)}.{nonce}" if version == "v3" else f"{push.url.partition('?')[0]}{nonce}"
    expected = base64.b64encode(hmac.digest(token.reveal().encode(), signed.encode(errors="replace"), hashlib.sha256))
    # More than one where the account has more than one token.
    given = push.headers.get(f"x-plivo-signature-{version}", "").split(",")
    if not any(hmac.compare_digest(expected, one.strip().encode(errors="replace")) for one in given):
        raise InvalidSignature("not signed with this account's token")


def _address(url: str, pairs: Pairs) -> str:
    """The URL with its query and the form's fields in order, joined as V3 has it."""
    base, _, query = url.partition("?")
    asked = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True)))
    fields = "".join(f"{name}{value}" for name, value in sorted(pairs))
    return f"{base}?{asked}{'.' if asked else ''}{fields}"
