"""Every provider's adapter and receipts at DEBUG, as in production: no key, no code, no token, no number comes out.

test_secrecy.py has the whole of the traffic by one provider; here it is each of them, against whoever answers with what
he was sent, and against receipts that are right, forged, changed or old.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from functions.domain.delivery import SendResult
from functions.handlers.providers import module_of
from functions.providers.catalog import PROVIDERS
from functions.usecases.ports import KeysUnavailable
from infra.local.accounts import for_the_functions
from infra.local.vendors.vendor import Push
from tests.adapters import CHINESE, CODE, TOKEN, an_account
from tests.aws_accounts import SECRET_KEY, set_credentials
from tests.harness import MORNING, Harness
from tests.integration.test_receipts import ACCOUNTS, PUSHING, Sent, accounts_that_sign, sent_by, unsigned
from tests.integration.test_secrecy import LoggingJournal, logging_as_in_production
from tests.unit.test_outcome_matrix import accepted, example_of, opened, sent
from tests.unit.test_transport import Behaviour, Line, Server, answering, page, serving

each_provider = pytest.mark.parametrize("name", sorted(PROVIDERS))
NUMBER = CHINESE.removeprefix("+86")
SCHEMES = {"Basic ", "Bearer ", "AccessKey "}
"""Behind them stands a key, whether it can be read or not."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def echoing(status: str) -> Behaviour:
    """Says back what it was sent, as pages of errors do."""

    async def behave(line: Line) -> None:
        await line.receive()
        await line.say(page(status, line.server.requests[-1]))

    return behave


async def hang_up(line: Line) -> None:
    await line.receive()
    line.reset()


def texts_in(value: object) -> Iterator[str]:
    """A secret's values, which can be nested, as far as they are long enough to be looked for."""
    if isinstance(value, Mapping):
        for below in value.values():
            yield from texts_in(below)
    elif isinstance(value, str) and len(value) >= 8:
        yield value


NO_SECRETS = {
    "account_sid",
    "auth_id",
    "base_url",
    "region",
    "service_plan_id",
    "sdk_app_id",
    "signature_method",
    "url",
}
"""Of a secret's entries those that name an account."""


def keys_in(secret: Mapping[str, Any]) -> set[str]:
    return set(texts_in({entry: value for entry, value in secret.items() if entry not in NO_SECRETS}))


def leaked(secret: Iterable[str], text: str) -> set[str]:
    return {each for each in secret if each in text}


@each_provider
async def test_no_adapter_tells_a_key_a_code_or_a_number(http: aiohttp.ClientSession, name: str) -> None:
    secret = {CODE, NUMBER, TOKEN, SECRET_KEY, *SCHEMES, *keys_in(getattr(example_of(name), "SECRET", {}))}
    answers = [answering(accepted(name)), *map(echoing, ("200 OK", "400 Bad", "401 Who", "500 Oops")), hang_up]
    told: list[SendResult] = []
    server = Server(hang_up)

    with logging_as_in_production("DEBUG") as log:
        for behave in answers:
            async with serving(behave) as server:
                told.append(await sent(name, http, f"http://127.0.0.1:{server.port}"))
        told.append(await sent(name, http, f"http://127.0.0.1:{server.port}"))  # nobody listens there any more
        async with opened(name, http, "http://127.0.0.1:9") as provider:
            shown = repr(provider)

    assert len(told) == 7
    assert leaked(secret, f"{log.getvalue()} {told} {shown}") == set()


@pytest.mark.parametrize("name", sorted(name for name, entry in PROVIDERS.items() if entry.secret is not None))
async def test_no_malformed_secret_is_shown(http: aiohttp.ClientSession, name: str) -> None:
    """Each entry in turn holds what belongs into another one, a number, and nothing."""
    right = for_the_functions(ACCOUNTS)[PROVIDERS[name].secret or ""]
    key = "a-key-that-was-put-into-the-wrong-entry"

    told: list[KeysUnavailable] = []

    with logging_as_in_production("DEBUG") as log:
        for entry, wrong in ((entry, wrong) for entry in right for wrong in (f"{key}\n", [key], {key: key}, "", None)):
            provider = await module_of(name).open_provider(an_account({**right, entry: wrong}, http))
            try:
                await provider.prepare()
            except KeysUnavailable as error:
                told.append(error)

    assert len(told) >= 2 * len(right)
    assert all(name in str(error) for error in told)
    assert leaked({key, *keys_in(right)}, f"{told} {log.getvalue()}") == set()


def pushes_of(sent_one: Sent) -> Iterator[Push]:
    for push in sent_one.pushes():
        yield push
        yield unsigned(push)
        yield replace(push, body=push.body + b"x")
        yield replace(push, url=f"{push.url}x")
    yield from sent_one.pushes(accounts=accounts_that_sign())
    yield from sent_one.pushes(at=MORNING - 10_000)


@pytest.mark.parametrize("name", PUSHING)
async def test_no_receipt_tells_a_key_a_token_or_a_number(harness: Harness, name: str) -> None:
    secrets = for_the_functions(ACCOUNTS)[PROVIDERS[name].secret or ""]
    harness.journal = LoggingJournal()
    with logging_as_in_production("DEBUG") as log:
        message = await sent_by(harness, name)
        answers = [(await message.hears(push)).body for push in pushes_of(message)]

    secret = {message.message.to.national, message.url.rpartition(".")[2], *keys_in(secrets)}
    assert harness.journal.of("receipt")
    assert harness.journal.of("refused")
    assert leaked(secret, f"{log.getvalue()} {harness.journal.lines} {answers}") == set()
