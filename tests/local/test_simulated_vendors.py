"""Both sides of each vendor's protocol, brought together: the adapter sends, and reads what is pushed to it.

Neither knows the other. What the adapter does wrong the simulated vendor refuses, and the other way round.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest
from aiohttp import web

from functions.aws import ONCE
from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, SendResult
from functions.domain.identity import VerificationId, reference
from functions.domain.phone import PhoneNumber
from functions.domain.receipt_token import read_token
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.catalog import PROVIDERS
from functions.runtime import wall_clock
from functions.usecases.ports import LearningProvider, Provider, Push
from infra.local.accounts import Accounts, for_the_functions, new_accounts, token_for_all
from infra.local.embedded_aws import aws_client
from infra.local.trial_routes import settings_of
from infra.local.vendors.vendor import Report, Submission
from infra.local.vendors.vonage import Vonage
from tests.eventually import Eventually
from tests.gateway import Gateway
from tests.harness import fresh_number

CODE = "481516"
AWS = ("aws_sms", "sns")
MUTE = ("sns",)
"""Tells what became of a message in logs alone."""
SENDS_TEMPLATES = ("aliyun", "aliyun_batch", "tencent")
SET_IN_THE_CONSOLE = ("aliyun", "aliyun_batch", "tencent", "vonage")
NO_WORD_FOR_SENT = ("aliyun", "aliyun_batch", "tencent", "vonage", "yunpian", "yunpian_multi")
TELLS_NO_VALIDITY = ("aliyun", "aliyun_batch", "sns", "telnyx", "tencent", "yunpian", "yunpian_multi")
WANTS_NO_REFERENCE = ("plivo", "sns", "telnyx", "twilio")
"""It comes back in the address of the receipts."""

BULK = ("aliyun_batch", "infobip", "sinch_batch", "yunpian_multi")

each_provider = pytest.mark.parametrize("name", sorted(PROVIDERS))
each_with_receipts = pytest.mark.parametrize("name", sorted(set(PROVIDERS) - set(MUTE)))


@dataclass(slots=True)
class Receiver:
    """Where receipts come in. What it understands it acknowledges in the provider's own words."""

    secrets: Accounts
    url: str = ""
    receipts: list[Receipt] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        provider, token = request.match_info["provider"], request.match_info["token"]
        reader, secret = import_module(f"functions.providers.{provider}").RECEIPTS, self._secret(provider)
        vouched = read_token(Sensitive(secret["receipt_token"]), provider, token)
        push = Push(
            method=request.method,
            url=self.url + request.raw_path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            reference=vouched,
        )
        try:
            self.receipts += reader.read(push, secret, wall_clock())
        except Exception as error:
            self.failures.append(error)
            raise
        return web.Response(body=reader.acknowledgement.body, content_type=reader.acknowledgement.media_type)

    async def receive_from_aws(self, request: web.Request) -> web.Response:
        self.receipts += import_module("functions.providers.aws_sms").read_event(await request.json(), wall_clock())
        return web.Response()

    def _secret(self, provider: str) -> Mapping[str, Any]:
        return self.secrets[PROVIDERS[provider].secret or ""]

    def of(self, message: Message) -> list[DeliveryStatus]:
        return [receipt.status for receipt in self.receipts if receipt.reference == message.reference]


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with an account at every vendor."""

    accounts: Accounts
    gateway: Gateway
    receiver: Receiver
    aws_clients: AsyncExitStack

    async def at(self, name: str, **other_entries: str) -> Provider:
        owner = PROVIDERS[name].secret
        secret = {} if owner is None else {**for_the_functions(self.accounts)[owner], **other_entries}

        async def fetch() -> Mapping[str, Any]:
            return secret

        account = Account(
            fetch_secret=fetch,
            session=lambda: self.gateway.http,
            open_aws=self._open_aws,
            clock=wall_clock,
            entropy=secrets.token_bytes,
            url=self.gateway.of(name),
            receipts_url=self.receiver.url,
            configuration_set="salvo",
        )
        provider: Provider = await import_module(f"functions.providers.{name}").open_provider(account)
        return provider

    async def send(self, name: str, message: Message, **other_entries: str) -> SendResult:
        return await (await self.at(name, **other_entries)).send(message)

    async def texts(self, message: Message) -> list[str]:
        return await self.gateway.inbox(message.to)

    async def _open_aws(self, service: str, url: str | None) -> Any:
        return await self.aws_clients.enter_async_context(aws_client(service, url or "", config=ONCE))


@pytest.fixture(scope="module")
async def receiver(accounts: Accounts) -> AsyncIterator[Receiver]:
    received = Receiver(for_the_functions(accounts))
    app = web.Application()
    app.router.add_route("*", "/v1/receipts/{provider}/{token}", received.receive)
    app.router.add_post("/aws-events", received.receive_from_aws)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    received.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield received
    await runner.cleanup()


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    return new_accounts()


@pytest.fixture(scope="module")
async def gateway(accounts: Accounts) -> AsyncIterator[Gateway]:
    async with Gateway.start(accounts, receipt_delay=0.01) as started:
        yield started


@pytest.fixture
async def customer(accounts: Accounts, gateway: Gateway, receiver: Receiver) -> AsyncIterator[Customer]:
    """Whose vendors behave as they did when they were started, with addresses for receipts in their consoles."""
    await gateway.reset()
    await gateway.forget()
    receiver.failures.clear()
    for provider in SET_IN_THE_CONSOLE:
        address = f"{receiver.url}/v1/receipts/{provider}/{token_for_all(accounts, provider)}"
        await gateway.change(provider=provider, receipts_url=address)
    await gateway.change(provider="aws_sms", receipts_url=f"{receiver.url}/aws-events")
    async with AsyncExitStack() as aws_clients:
        yield Customer(accounts, gateway, receiver, aws_clients)
    assert receiver.failures == []


def a_message(name: str, to: PhoneNumber | None = None, text: str = f"{CODE} is your code.") -> Message:
    own = VerificationId("k1", secrets.token_hex(12).translate(_IN_BASE32), "a" * 16)
    return Message(
        to=to or fresh_number(),
        text=Sensitive(text),
        code=Sensitive(CODE),
        reference=reference(own, 1),
        valid_for=300,
        **settings_of(name),
    )


_IN_BASE32 = str.maketrans("0189", "wxyz")


@each_provider
async def test_a_message_arrives_on_the_phone(customer: Customer, name: str) -> None:
    message = a_message(name)

    result = await customer.send(name, message)

    assert (result.outcome, result.provider) == (Outcome.ACCEPTED, name)
    [text] = await customer.texts(message)
    assert CODE in text if name in SENDS_TEMPLATES else text == message.text.reveal()
    [asked] = await customer.gateway.asked(name)
    assert (asked["outcome"], asked["message_id"], asked["to"]) == ("accepted", result.message_id, message.to.e164)


@each_provider
async def test_a_message_in_another_alphabet_arrives_as_it_was_written(customer: Customer, name: str) -> None:
    message = a_message(name, text=f"【Salvo】您的验证码是{CODE}。")

    assert (await customer.send(name, message)).outcome is Outcome.ACCEPTED

    [text] = await customer.texts(message)
    assert text == message.text.reveal() or name in SENDS_TEMPLATES


@each_provider
async def test_what_the_vendor_is_told_besides_is_what_it_understands(customer: Customer, name: str) -> None:
    message = a_message(name)

    await customer.send(name, message)

    [asked] = await customer.gateway.asked(name)
    assert asked["reference"] == (None if name in WANTS_NO_REFERENCE else message.reference)
    if name in TELLS_NO_VALIDITY:
        assert asked["valid_for"] is None
    else:
        assert asked["valid_for"] == pytest.approx(300, abs=2)
    assert asked["sender"] == message.sender or name in SENDS_TEMPLATES


@each_with_receipts
async def test_its_receipts_are_read(customer: Customer, name: str, eventually: Eventually) -> None:
    await customer.gateway.change(receipts=["sent", "delivered"])
    message = a_message(name)

    await customer.send(name, message)

    async def told() -> bool:
        return DeliveryStatus.DELIVERED in customer.receiver.of(message)

    await eventually(told)
    sent = [] if name in NO_WORD_FOR_SENT else [DeliveryStatus.SENT]
    assert customer.receiver.of(message) == [*sent, DeliveryStatus.DELIVERED]


@each_with_receipts
async def test_a_receipt_of_failure_says_why(customer: Customer, name: str, eventually: Eventually) -> None:
    await customer.gateway.change(provider=name, receipts=["failed"])
    message = a_message(name)

    await customer.send(name, message)

    async def told() -> bool:
        return customer.receiver.of(message) == [DeliveryStatus.FAILED]

    await eventually(told)
    [receipt] = [each for each in customer.receiver.receipts if each.reference == message.reference]
    assert receipt.reason
    assert receipt.provider == name
    assert abs(receipt.at - wall_clock()) < 60


@each_with_receipts
async def test_a_message_of_which_nothing_is_told_has_no_receipt(
    customer: Customer, name: str, eventually: Eventually
) -> None:
    await customer.gateway.change(receipts=[])
    silent = a_message(name)
    await customer.send(name, silent)
    await customer.gateway.change(receipts=["delivered"])
    told = a_message(name)

    await customer.send(name, told)

    await eventually(lambda: _is_told(customer, told))
    assert customer.receiver.of(silent) == []


async def _is_told(customer: Customer, message: Message) -> bool:
    return bool(customer.receiver.of(message))


@each_provider
async def test_a_vendor_that_is_down_takes_nothing_and_says_so(customer: Customer, name: str) -> None:
    message, other = a_message(name), a_message("twilio" if name != "twilio" else "vonage")

    async with customer.gateway.down(name):
        result = await customer.send(name, message)

    assert result.outcome.may_try_again, result
    assert await customer.texts(message) == []
    assert [asked["outcome"] for asked in await customer.gateway.asked(name)] == ["refused"]
    assert (await customer.send("vonage" if name == "twilio" else "twilio", other)).outcome is Outcome.ACCEPTED
    assert (await customer.send(name, message)).outcome is Outcome.ACCEPTED


@each_provider
@pytest.mark.parametrize("answer", ["drop", "drop_after_accept", "rubbish", "status"])
async def test_of_what_breaks_off_nobody_knows_whether_it_was_taken(customer: Customer, name: str, answer: str) -> None:
    message = a_message(name)
    await customer.gateway.change(provider=name, script=[{"answer": answer, "status": 502}])

    result = await customer.send(name, message)

    assert result.outcome is Outcome.UNKNOWN, result
    assert len(await customer.texts(message)) == (answer == "drop_after_accept")
    assert len(await customer.gateway.asked(name)) == 1


@each_provider
async def test_too_many_requests_are_turned_away_with_the_time_to_wait(customer: Customer, name: str) -> None:
    await customer.gateway.change(provider=name, script=[{"answer": "status", "status": 429, "retry_after": 7}])

    result = await customer.send(name, a_message(name))

    assert (result.outcome, result.retry_after) == (Outcome.THROTTLED_ACCOUNT, 7)


@pytest.mark.parametrize(
    ("name", "entry", "wrong"),
    [
        ("aliyun", "access_key_secret", "wrong"),
        ("aliyun", "access_key_id", "LTAIwrong"),
        ("aliyun_batch", "access_key_secret", "wrong"),
        ("infobip", "api_key", "wrong"),
        ("messagebird", "access_key", "wrong"),
        ("plivo", "auth_token", "wrong"),
        ("sinch", "api_token", "wrong"),
        ("sinch", "service_plan_id", "wrong"),
        ("sinch_batch", "api_token", "wrong"),
        ("telnyx", "api_key", "wrong"),
        ("tencent", "secret_key", "wrong"),
        ("tencent", "secret_id", "wrong"),
        ("tencent", "sdk_app_id", "1400000001"),
        ("twilio", "auth_token", "wrong"),
        ("twilio", "account_sid", f"AC{'0' * 32}"),
        ("vonage", "api_secret", "wrong"),
        ("vonage_messages", "api_secret", "wrong"),
        ("webhook", "signing_secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"),
        ("yunpian", "apikey", "1" * 32),
        ("yunpian_multi", "apikey", "1" * 32),
    ],
)
async def test_credentials_that_are_wrong_are_the_operators_to_mend(
    customer: Customer, name: str, entry: str, wrong: str
) -> None:
    message = a_message(name)

    result = await customer.send(name, message, **{entry: wrong})

    assert result.outcome is Outcome.CONFIG, result
    assert await customer.texts(message) == []


@each_provider
async def test_a_number_that_is_none_is_refused_for_good(customer: Customer, name: str) -> None:
    nowhere = replace(fresh_number(), e164="+49000")

    result = await customer.send(name, a_message(name, to=nowhere))

    assert result.outcome is Outcome.REJECTED_NUMBER, result


@pytest.mark.parametrize("name", ["aliyun", "infobip", "tencent", "webhook", "yunpian"])
async def test_a_number_that_had_its_share_is_told_to_wait(customer: Customer, name: str) -> None:
    number = fresh_number()
    await customer.gateway.change(provider=name, caps={"interval": 30, "hourly": 3})
    await customer.send(name, a_message(name, to=number))

    assert (await customer.send(name, a_message(name, to=number))).outcome is Outcome.THROTTLED_RECIPIENT
    assert (await customer.send(name, a_message(name))).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("name", ["aws_sms", "infobip", "plivo", "twilio"])
async def test_word_of_an_approval_reaches_the_vendor(customer: Customer, name: str) -> None:
    provider = await customer.at(name)
    assert isinstance(provider, LearningProvider)
    result = await provider.send(a_message(name))
    assert result.message_id is not None

    assert await provider.approved(result.message_id)

    told = [asked["message_id"] for asked in await customer.gateway.asked(name) if asked["outcome"] == "approved"]
    assert told == [result.message_id]


def many(name: str, count: int) -> list[Message]:
    """To as many Chinese phones, each with a code of its own."""
    codes = [f"{n:06}" for n in range(count)]
    phones = [replace(fresh_number(), e164=f"+86138{code:>08}", region="CN", country_code=86) for code in codes]
    sent = [a_message(name, to=phone) for phone in phones]
    texts = [Sensitive(f"{code} is your & only code.\n@acme.example #{code}") for code in codes]
    return [replace(m, code=Sensitive(code), text=text) for m, code, text in zip(sent, codes, texts, strict=True)]


each_in_bulk = pytest.mark.parametrize("name", BULK)


@each_in_bulk
async def test_messages_of_one_moment_go_in_one_request_each_with_its_own_code(customer: Customer, name: str) -> None:
    messages = many(name, 20)
    provider = await customer.at(name)

    results = await asyncio.gather(*(provider.send(message) for message in messages))

    assert {result.outcome for result in results} == {Outcome.ACCEPTED}, results
    assert len({asked["request"] for asked in await customer.gateway.asked(name)}) == 1
    for message in messages:
        [text] = await customer.texts(message)
        assert message.code.reveal() in text if name in SENDS_TEMPLATES else text == message.text.reveal()


@each_in_bulk
async def test_a_number_that_is_none_keeps_nobody_else_from_his_message(customer: Customer, name: str) -> None:
    *messages, nowhere = many(name, 5)
    nowhere = replace(nowhere, to=replace(nowhere.to, e164="+86000"))
    provider = await customer.at(name)

    *results, refused = await asyncio.gather(*(provider.send(message) for message in [*messages, nowhere]))

    assert {result.outcome for result in results} == {Outcome.ACCEPTED}, results
    assert refused.outcome is Outcome.REJECTED_NUMBER
    for message in messages:
        assert len(await customer.texts(message)) == 1


@each_in_bulk
@pytest.mark.parametrize("answer", ["drop", "drop_after_accept", "rubbish", "status"])
async def test_of_many_in_a_request_that_breaks_off_none_is_sent_again(
    customer: Customer, name: str, answer: str
) -> None:
    messages = many(name, 5)
    provider = await customer.at(name)
    await customer.gateway.change(provider=name, script=[{"answer": answer, "status": 502}])

    results = await asyncio.gather(*(provider.send(message) for message in messages))

    assert {result.outcome for result in results} == {Outcome.UNKNOWN}
    assert len({asked["request"] for asked in await customer.gateway.asked(name)}) == 1


async def test_receipts_of_many_in_a_request_name_each_where_the_vendor_takes_an_address_of_each(
    customer: Customer, eventually: Eventually
) -> None:
    messages = many("infobip", 5)
    provider = await customer.at("infobip")

    await asyncio.gather(*(provider.send(message) for message in messages))

    async def all_told() -> bool:
        return all(customer.receiver.of(message) == [DeliveryStatus.DELIVERED] for message in messages)

    await eventually(all_told)


@pytest.mark.parametrize(("name", "repeats"), [("infobip", 1), ("telnyx", 1), ("twilio", 2)])
async def test_a_repeat_is_one_message_where_the_vendor_knows_repeats(
    customer: Customer, name: str, repeats: int
) -> None:
    message = a_message(name)

    assert (await customer.send(name, message)).outcome is Outcome.ACCEPTED
    assert (await customer.send(name, message)).outcome is Outcome.ACCEPTED

    assert len(await customer.texts(message)) == repeats


@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_vonage_signs_by_whichever_method_the_account_has(accounts: Accounts, method: str) -> None:
    account = {**accounts["vonage"], "signature_method": method}
    submission = Submission(to=fresh_number().e164, text=CODE, reference="a=reference&more", sender="Salvo")
    report = Report(submission, "0A", "delivered")

    [push] = Vonage(account).pushes("http://127.0.0.1/", [report], wall_clock())

    headers = {name.lower(): value for name, value in push.headers.items()}
    pushed = Push(method="POST", url=push.url, query={}, headers=headers, body=push.body)
    [receipt] = import_module("functions.providers.vonage").RECEIPTS.read(pushed, account, wall_clock())
    assert (receipt.reference, receipt.status) == (submission.reference, DeliveryStatus.DELIVERED)


async def test_keys_and_codes_are_not_in_what_is_remembered(customer: Customer) -> None:
    for name in PROVIDERS:
        await customer.send(name, a_message(name))

    async with customer.gateway.http.get(f"{customer.gateway.url}/control/requests.json") as answer:
        remembered = await answer.json()

    held = {value for account in customer.accounts.values() for value in account.values()} - {"sha256"}
    assert {asked["provider"] for asked in remembered} == set(PROVIDERS)
    assert [value for value in (*held, CODE) if value in json.dumps(remembered)] == []


async def test_one_vendor_is_set_apart_from_the_others(customer: Customer) -> None:
    await customer.gateway.change(script=[{"answer": "refuse"}])
    await customer.gateway.change(provider="twilio", script=[{"answer": "accept"}])

    assert (await customer.send("twilio", a_message("twilio"))).outcome is Outcome.ACCEPTED
    assert (await customer.send("vonage", a_message("vonage"))).outcome is not Outcome.ACCEPTED
    assert (await customer.send("vonage", a_message("vonage"))).outcome is Outcome.ACCEPTED


async def test_a_vendor_that_is_not_there_has_no_controls(customer: Customer) -> None:
    url = f"{customer.gateway.url}/control"
    async with customer.gateway.http.put(url, json={"provider": "pigeon", "latency": 1}) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "there is no account at pigeon"})


async def test_a_request_to_a_vendor_without_an_account_is_answered_with_404() -> None:
    async with Gateway.start({}) as alone, alone.http.post(f"{alone.url}/twilio/x") as answer:
        assert answer.status == 404
