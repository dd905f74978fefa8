"""Receipts of every provider that pushes them, from its signed request to the record (DEL-10).

The pushes are the simulated vendors', which are written from the vendors' documents and share no code with the readers.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - a seeded shuffle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, SendResult
from functions.domain.receipt_token import account_token, message_token
from functions.domain.routing import Route, Via
from functions.domain.sensitive import Sensitive
from functions.handlers.providers import module_of
from functions.providers.catalog import PROVIDERS
from functions.web.boundary import Boundary
from functions.web.receipts import Receipts, ReceiptSource, create_receipts_app
from infra.local.accounts import Accounts, for_the_functions, new_accounts
from infra.local.vendors.catalog import open_vendors
from infra.local.vendors.vendor import Push, Report, State, Submission
from tests.harness import MORNING, Harness, RecordingProvider, Response, assert_problem, call
from tests.two_providers import receipt, record_of, shown, start

PUBLIC = "https://sms.example.com"


def accounts_that_sign() -> Accounts:
    """With everything switched on that makes a vendor sign its pushes."""
    made = new_accounts()
    return {
        **made,
        "vonage": {**made["vonage"], "signature_method": "sha256"},
        "webhook": {**made["webhook"], "receipts_secret": made["webhook"]["signing_secret"]},
    }


ACCOUNTS = accounts_that_sign()
PUSHING = sorted(name for name in PROVIDERS if hasattr(module_of(name), "RECEIPTS"))
UNSIGNED = {"aliyun", "aliyun_batch", "infobip", "tencent", "yunpian", "yunpian_multi"}
"""The token in the address is all that they have to show."""
WITHOUT_TIME = {"plivo", "twilio"}
"""What they sign holds no time, so a copy of it stays good: it tells nothing new."""
WITH_AN_END = {"messagebird"}
"""What they sign says itself until when it is good: a minute."""
SIGNED = sorted(set(PUSHING) - UNSIGNED)

each_provider = pytest.mark.parametrize("name", PUSHING)
each_that_signs = pytest.mark.parametrize("name", SIGNED)


@dataclass(frozen=True, slots=True)
class Sent:
    """A verification whose message went out by this provider."""

    harness: Harness
    name: str
    verification: str
    message: Message

    @property
    def url(self) -> str:
        return f"{PUBLIC}/v1/receipts/{self.name}/{message_token(self._token, self.name, self.message.reference)}"

    @property
    def _token(self) -> Sensitive:
        return Sensitive(ACCOUNTS[PROVIDERS[self.name].secret or ""]["receipt_token"])

    def pushes(
        self, state: State = "delivered", *, at: int = MORNING, url: str | None = None, accounts: Accounts = ACCOUNTS
    ) -> Iterator[Push]:
        submission = Submission(
            to=self.message.to.e164,
            text="",
            reference=self.message.reference,
            receipts=url or self.url,
            sender="Salvo",
            echo=self.message.reference,
        )
        vendor = open_vendors(accounts)[self.name]
        report = Report(submission, vendor.message_id(submission, 2**54), state)
        yield from vendor.pushes(url or self.url, [report], at)

    async def hears(self, push: Push) -> Response:
        address = urlsplit(push.url)
        return await call(
            receipts_app(self.harness),
            push.method,
            address.path,
            push.body,
            headers=push.headers,
            key=None,
            query=address.query.encode(),
        )

    async def status(self) -> str:
        status: str = (await shown(self.harness, self.verification))["delivery"]["status"]
        return status


def receipts_app(harness: Harness) -> Boundary:
    def source(name: str) -> ReceiptSource:
        async def secret() -> Mapping[str, Any]:
            return for_the_functions(ACCOUNTS)[PROVIDERS[name].secret or ""]

        return ReceiptSource(module_of(name).RECEIPTS, secret)

    receipts = Receipts(
        sources={name: source(name) for name in PUSHING},
        record=harness.receive,
        receipts_url=PUBLIC,
        clock=harness.clock,
    )
    return create_receipts_app(receipts, harness.journal)


async def sent_by(harness: Harness, name: str) -> Sent:
    taken = SendResult(provider=name, outcome=Outcome.ACCEPTED)
    harness.provider = RecordingProvider(name=name, otherwise=lambda _: taken)
    harness.change_service(routes=(Route(providers=(Via(provider=name),)),))
    started = (await start(harness)).json
    return Sent(harness, name, started["id"], harness.provider.messages[-1])


@each_provider
async def test_its_receipt_shows(harness: Harness, name: str) -> None:
    sent = await sent_by(harness, name)

    for push in sent.pushes():
        assert (await sent.hears(push)).status == 200

    assert await sent.status() == "delivered"


@each_provider
async def test_its_receipt_at_the_accounts_address_shows_where_it_names_the_message(
    harness: Harness, name: str
) -> None:
    sent = await sent_by(harness, name)
    url = f"{PUBLIC}/v1/receipts/{name}/{account_token(sent._token, name)}"

    answers = [await sent.hears(push) for push in sent.pushes(url=url)]

    assert {answer.status for answer in answers} == {200}
    assert await sent.status() == ("delivered" if name in NAMES_THE_MESSAGE else "submitted")


NAMES_THE_MESSAGE = {
    "aliyun",
    "aliyun_batch",
    "infobip",
    "messagebird",
    "sinch",
    "sinch_batch",
    "tencent",
    "vonage",
    "vonage_messages",
    "webhook",
    "yunpian",
    "yunpian_multi",
}


@each_provider
async def test_at_the_address_of_another_message_it_is_refused(harness: Harness, name: str) -> None:
    sent, other = await sent_by(harness, name), await sent_by(harness, name)

    answers = [await sent.hears(push) for push in sent.pushes(url=other.url)]

    # A provider that names no message tells of the one whose address it is.
    expected = {404} if name in NAMES_THE_MESSAGE else {200}
    assert {answer.status for answer in answers} == expected
    assert await sent.status() == "submitted"


@each_provider
@pytest.mark.parametrize("wrong", ["other provider", "no signature", "longer", "empty", "made up"])
async def test_under_a_wrong_token_nothing_is_accepted(harness: Harness, name: str, wrong: str) -> None:
    sent = await sent_by(harness, name)
    token = {
        "other provider": message_token(sent._token, "another", sent.message.reference),
        "no signature": sent.message.reference,
        "longer": f"{sent.url.rpartition('/')[2]}x",
        "empty": "",
        "made up": f"{sent.message.reference}.AAAAAAAAAAAAAAAAAAAAAA",
    }[wrong]

    answers = [await sent.hears(push) for push in sent.pushes(url=f"{PUBLIC}/v1/receipts/{name}/{token}")]

    assert {answer.status for answer in answers} == {404}
    assert await sent.status() == "submitted"


@each_that_signs
async def test_what_another_account_signed_is_refused(harness: Harness, name: str) -> None:
    sent = await sent_by(harness, name)

    for push in sent.pushes(accounts=accounts_that_sign()):
        assert_problem(await sent.hears(push), 401, "invalid_signature")

    assert await sent.status() == "submitted"


@each_that_signs
async def test_what_is_not_signed_is_refused(harness: Harness, name: str) -> None:
    sent = await sent_by(harness, name)

    for push in sent.pushes():
        assert_problem(await sent.hears(unsigned(push)), 401, "invalid_signature")

    assert await sent.status() == "submitted"


@each_that_signs
async def test_what_was_changed_on_its_way_is_refused(harness: Harness, name: str) -> None:
    sent = await sent_by(harness, name)

    for push in sent.pushes("failed"):
        changed = replace(push, body=push.body.replace(b"a", b"b", 1), url=push.url.replace("?id=", "?id=x"))
        assert changed != push
        answer = await sent.hears(changed)
        assert_problem(answer, 401, "invalid_signature")

    assert await sent.status() == "submitted"


@each_that_signs
@pytest.mark.parametrize("away", [-301, 301])
async def test_what_was_signed_long_ago_or_ahead_of_time_is_refused(harness: Harness, name: str, away: int) -> None:
    sent = await sent_by(harness, name)

    answers = [await sent.hears(push) for push in sent.pushes(at=MORNING + away)]

    expected = {200} if name in WITHOUT_TIME else {401}
    assert {answer.status for answer in answers} == expected
    assert await sent.status() == ("delivered" if name in WITHOUT_TIME else "submitted")


@each_that_signs
@pytest.mark.parametrize("ahead", [-1, 1])
async def test_a_clock_that_is_off_a_little_is_put_up_with(harness: Harness, name: str, ahead: int) -> None:
    sent = await sent_by(harness, name)
    seconds = 10 if name in WITH_AN_END else 299

    answers = [await sent.hears(push) for push in sent.pushes(at=MORNING + ahead * seconds)]

    assert {answer.status for answer in answers} == {200}


@each_provider
async def test_rubbish_is_refused_and_is_no_fault_of_ours(harness: Harness, name: str) -> None:
    sent = await sent_by(harness, name)

    for body in (b"", b"{}", b"[]", b"null", b"\xff\x00", b"a=b&a=c", b"[" * 100_000, b'{"results":[{}]}'):
        push = Push(url=sent.url, body=body, headers={"content-type": "application/json"})
        for method in ("POST", "GET"):
            assert (await sent.hears(replace(push, method=method))).status in {200, 401, 422}

    assert await sent.status() == "submitted"


def unsigned(push: Push) -> Push:
    """As somebody sends it who knows the address, and no key."""
    dropped = ("signature", "authorization", "webhook-")
    headers = {name: value for name, value in push.headers.items() if not any(word in name.lower() for word in dropped)}
    body = push.body.replace(b'"sig":', b'"was":') if push.body.startswith(b"{") else push.body
    return replace(push, headers=headers, body=body)


async def test_a_thousand_shuffled_and_doubled_sequences_end_right(harness: Harness) -> None:
    """Each with the write of our own somewhere in between."""
    chance = random.Random(20270115)  # noqa: S311
    harness.change_service(cooldown=0)
    stories = [
        [DeliveryStatus.SENT, DeliveryStatus.DELIVERED],
        [DeliveryStatus.SENT, DeliveryStatus.FAILED],
        [DeliveryStatus.SENT],
        [DeliveryStatus.FAILED, DeliveryStatus.DELIVERED],
        [],
    ]

    async def tell(place: int) -> bool:
        story = stories[place % len(stories)]
        told = [status for status in story for _ in range(chance.randint(1, 3))]
        chance.shuffle(told)
        verification = (await start(harness)).json["id"]
        message = next(each for each in harness.provider.messages if verification in each.reference)
        await asyncio.gather(*(receipt(harness, message, "yunpian", status) for status in told[::2]))
        for status in told[1::2]:
            await receipt(harness, message, "yunpian", status)
        return (await record_of(harness, verification)).verification.delivery.status is right(story)

    results: list[bool] = []
    for first in range(0, 1000, 100):
        results += await asyncio.gather(*(tell(place) for place in range(first, first + 100)))

    assert (len(results), sum(results)) == (1000, 1000)


def right(story: list[DeliveryStatus]) -> DeliveryStatus:
    for status in (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.SENT):
        if status in story:
            return status
    return DeliveryStatus.SUBMITTED


async def test_a_receipt_that_comes_before_the_answer_is_not_overwritten(harness: Harness) -> None:
    harness.change_service(routes=(Route(providers=(Via(provider="a"), Via(provider="b"))),))

    async def quick(message: Message) -> SendResult:
        await harness.receive(
            Receipt(
                provider="b",
                reference=message.reference,
                status=DeliveryStatus.DELIVERED,
                reason=None,
                at=harness.clock(),
            )
        )
        return SendResult(provider="b", outcome=Outcome.ACCEPTED)

    down = SendResult(provider="a", outcome=Outcome.TRANSIENT)
    harness.provider = RecordingProvider(name="a", otherwise=lambda _: down)
    harness.others = {"b": Quick(quick)}

    started = (await start(harness)).json

    assert (await shown(harness, started["id"]))["delivery"]["status"] == "delivered"


@dataclass
class Quick:
    answer: Any
    name: str = "b"
    timeout: float = 1.0

    async def prepare(self) -> None:
        pass

    async def send(self, message: Message) -> SendResult:
        result: SendResult = await self.answer(message)
        return result
