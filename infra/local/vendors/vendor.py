"""What all simulated vendors have in common: what they are asked, what they answer, and what they push."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

import msgspec

Account = Mapping[str, str]
"""What the vendor knows its customer by, such as {"account_sid": …, "auth_token": …}."""
State = Literal["sent", "delivered", "failed"]
"""What becomes of a message: the carrier has it, the phone has it, or neither ever will."""
Code = int | str
"""A vendor's own, as it spells it."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, as it stood on the wire."""

    method: str
    host: str
    full_path: str
    """From the host on, which is what vendors sign who sign paths."""
    path: str
    """Below the vendor's own place."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """Found by any spelling of their names."""
    body: bytes = field(repr=False)
    at: float
    """Seconds since 1970."""

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))

    @property
    def json(self) -> dict[str, Any]:
        """Empty where the body is no JSON object: what is missed in it is told then."""
        try:
            found = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The vendor takes no message, for the reason that its code names."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message that the vendor was asked to send."""

    to: str
    """+E.164, whichever way it was spelled."""
    text: str
    reference: str | None = None
    """The customer's own."""
    receipts: str | None = None
    """The address for what becomes of it. None: the one in the vendor's console; empty: it is not to be told."""
    sender: str | None = None
    valid_for: float | None = None
    """Seconds, whatever the vendor's unit is."""
    echo: Any = None
    """What else the customer gave with it to have it back in the reports."""
    fault: Refused | None = None
    """What is wrong with this one, where the vendor answers for each message of a request."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The customer tells that a message's code came to use."""

    message_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a request, and what became of it there."""

    submission: Submission
    message_id: str
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True)
class Report:
    submission: Submission
    message_id: str
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A request to the customer. `url` is signed as it is, and called as plain http."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


class Vendor(Protocol):
    busy: Code
    """With what it says that it can't take messages now."""
    caps: tuple[Code, Code] | None
    """With what it refuses a number that gets messages too soon after one another, and too many in an hour."""

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        """Its authentication is checked first, then what is in it. Raises Refused for the first thing wrong."""

    def message_id(self, submission: Submission, serial: int) -> str:
        """As the vendor's ids look. `serial` is above 2^53, where what went through a float comes out changed."""

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer: ...

    def refused(self, call: Call, refusal: Refused) -> Answer: ...

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        """The requests in which the reports go to this address, signed as this vendor signs; none for what it keeps to
        itself.
        """

    def acknowledged(self, status: int, body: bytes) -> bool:
        """Whether it takes the customer's answer for one. Else it pushes again."""


def as_json(content: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(content))


def plus(digits: str) -> str | None:
    """The number whose digits these are, country code first and no + in front of it; None where it is no number."""
    return e164(f"+{digits}")


def e164(number: str) -> str | None:
    return number if _E164.fullmatch(number) else None


def is_good(status: int) -> bool:
    """What most vendors take for an acknowledgement."""
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own


def text_of(found: Mapping[str, Any], name: str) -> str:
    """Empty where it is missing, or no text."""
    value = found.get(name)
    return value if isinstance(value, str) else ""
