"""Amazon SNS, Publish to a phone's number: a form in, XML out, and no receipts but in logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from infra.local.vendors.aws import REQUEST_ID, is_signed
from infra.local.vendors.vendor import Account, Answer, Call, Code, Push, Refused, Report, Sent, Submission, e164

_INTERNAL, _INVALID, _DENIED = "InternalError", "InvalidParameter", "AuthorizationError"
_HTTP: Mapping[Code, int] = {_INTERNAL: 500, _DENIED: 403, "SignatureDoesNotMatch": 403, "InvalidClientTokenId": 403}
"""All others: 400."""
_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_LARGEST = 1600
"""Bytes."""
_SENDERS = ("AWS.SNS.SMS.SenderID", "AWS.MM.SMS.OriginationNumber")


class Sns:
    busy: Code = _INTERNAL
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        """There is no key: the role of whoever calls is enough."""

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        if not is_signed(call, "sns"):
            raise Refused(_DENIED, "The request is not signed.")
        form = call.form
        if (form.get("Action"), form.get("Version")) != ("Publish", "2010-03-31"):
            raise Refused("InvalidAction")
        to = e164(form.get("PhoneNumber", ""))
        if to is None:
            raise Refused(_INVALID, "Invalid parameter: PhoneNumber Reason: it is not valid to publish to")
        text = form.get("Message", "")
        if not text or len(text.encode()) > _LARGEST:
            raise Refused(_INVALID, "Invalid parameter: Message")
        attributes = _attributes(form)
        return [Submission(to=to, text=text, sender=next((attributes[n] for n in _SENDERS if n in attributes), None))]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(UUID(int=serial, version=4))

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        result = f"<PublishResult><MessageId>{one.message_id}</MessageId></PublishResult>"
        return _xml(
            "PublishResponse", f"{result}<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>"
        )

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        status = _HTTP.get(refusal.code, 400)
        kind = "Receiver" if status == 500 else "Sender"  # noqa: PLR2004 - HTTP's own
        error = f"<Type>{kind}</Type><Code>{refusal.code}</Code><Message>{refusal.detail}</Message>"
        return _xml("ErrorResponse", f"<Error>{error}</Error><RequestId>{REQUEST_ID}</RequestId>", status)

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:  # noqa: ARG002 - there are none
        return ()

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - nothing is asked
        return True


def _attributes(form: Mapping[str, str]) -> dict[str, str]:
    prefix = "MessageAttributes.entry."
    names = {key: value for key, value in form.items() if key.startswith(prefix) and key.endswith(".Name")}
    return {name: form.get(f"{key.removesuffix('Name')}Value.StringValue", "") for key, name in names.items()}


def _xml(root: str, content: str, status: int = 200) -> Answer:
    body = f'<{root} xmlns="{_NAMESPACE}">{content}</{root}>'
    return Answer(status=status, body=body.encode(), media_type="text/xml")
