"""Callers' keys: what each may do, and how soon a key that was taken away is refused (API-1)."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from functions.domain.caller import Caller, Scope
from functions.stores.callers import SecretCallers
from functions.stores.secrets_manager import CachedSecret
from functions.web.authentication import digest_key
from tests.harness import ManualClock
from tests.unit.test_secrets_manager import FakeSecretsManager

NAME = "salvo/callers"


async def test_a_caller_is_known_by_the_digest_of_its_key() -> None:
    client = FakeSecretsManager(json.dumps({"d1": {"name": "checkout"}, "d2": {"name": "shop"}}))
    callers = SecretCallers(CachedSecret(client, NAME, ManualClock()))

    found = [await callers.caller_of(digest) for digest in ("d1", "d2", "d3", "")]

    assert found == [Caller(name="checkout"), Caller(name="shop"), None, None]


async def test_a_key_may_do_what_its_entry_names_and_everything_where_it_names_nothing() -> None:
    entries = {"d1": {"name": "old"}, "d2": {"name": "new", "scopes": ["check"], "services": ["shop"], "made": 1}}
    callers = SecretCallers(CachedSecret(FakeSecretsManager(json.dumps(entries)), NAME, ManualClock()))

    old, new = await callers.caller_of("d1"), await callers.caller_of("d2")

    assert old is not None
    assert new is not None
    assert [scope.value for scope in Scope if old.may(scope)] == ["start", "check", "read", "admin"]
    assert [scope.value for scope in Scope if new.may(scope)] == ["check"]
    assert (old.is_for("default"), new.is_for("default"), new.is_for("shop")) == (True, False, True)


MALFORMED: list[Any] = [None, "checkout", 1, [], ["name"], {}, {"name": None}, {"name": 1}]
SLIPS: list[Any] = [
    {"name": "x", "scopes": "check"},
    {"name": "x", "scopes": ["chek"]},
    {"name": "x", "scopes": None},
    {"name": "x", "services": []},
    {"name": "x", "services": "shop"},
    {"name": "x", "services": [1]},
    {"name": "x", "services": [f"s{n}" for n in range(101)]},
]


@pytest.mark.parametrize("entry", [*MALFORMED, *SLIPS])
async def test_an_entry_that_makes_no_sense_lets_nobody_in(entry: Any) -> None:
    client = FakeSecretsManager(json.dumps({"d1": entry}))

    assert await SecretCallers(CachedSecret(client, NAME, ManualClock())).caller_of("d1") is None


async def test_of_ten_thousand_random_keys_none_is_let_in() -> None:
    key = secrets.token_urlsafe(32)
    client = FakeSecretsManager(json.dumps({digest_key(key): {"name": "checkout"}}))
    callers = SecretCallers(CachedSecret(client, NAME, ManualClock()))

    let_in = [await callers.caller_of(digest_key(secrets.token_urlsafe(32))) for _ in range(10_000)]

    assert set(let_in) == {None}
    assert await callers.caller_of(digest_key(key)) is not None


async def test_a_key_that_was_taken_away_is_refused_once_the_secret_is_read_again() -> None:
    client, clock = FakeSecretsManager('{"d1": {"name": "checkout"}}'), ManualClock()
    callers = SecretCallers(CachedSecret(client, NAME, clock, fresh_for=60))
    await callers.caller_of("d1")
    client.text = "{}"

    clock.advance(59)
    assert await callers.caller_of("d1") == Caller(name="checkout")
    clock.advance(1)
    assert await callers.caller_of("d1") is None
