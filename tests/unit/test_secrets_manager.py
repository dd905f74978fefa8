"""Secrets: asked for once however many want them (RUN-7), kept through an outage, and never in an error's text."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.keys import Keyring, derive
from functions.stores.secrets_manager import (
    CachedSecret,
    SecretKeys,
    parse_keyring,
    text_in,
)
from functions.usecases.ports import KeysUnavailable
from tests.harness import MORNING, ManualClock

NAME = "salvo/keys"
ONE, TWO = "1" * 22 + "A" * 21, "2" * 22 + "B" * 21
"""43 characters each, as a random entry has."""
KEYS = {"pepper": "k1", "index": "k1", "k1": ONE}
ROTATED = {"pepper": "k2", "index": "k1", "k1": ONE, "k2": TWO}
REINDEXED = {"pepper": "k2", "index": "k2", "index_before": "k1", "k1": ONE, "k2": TWO}

DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": f"with {ONE}"}}, "GetSecretValue")
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetSecretValue")
UNREACHABLE = EndpointConnectionError(endpoint_url=f"https://secretsmanager.test/{ONE}")
SILENT = ReadTimeoutError(endpoint_url="https://secretsmanager.test")


@dataclass(repr=False)
class FakeSecretsManager:
    """AWS's client, as far as we use it. It answers a turn of the loop later, so that others can come between."""

    text: str
    error: Exception | None = None
    asked: int = 0

    async def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {"Name": SecretId, "SecretString": self.text}


class BinarySecret(FakeSecretsManager):
    async def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        return {"Name": SecretId, "SecretBinary": self.text.encode()}


class Keys:
    """A keyring over a fake, and the clock that both look at."""

    def __init__(self, **secret: str | int) -> None:
        self.client = FakeSecretsManager(json.dumps(secret or KEYS))
        self.clock = ManualClock()
        self.cached = CachedSecret(self.client, NAME, self.clock)
        self.keys = SecretKeys(self.cached)

    def store(self, **secret: str | int) -> None:
        self.client.text = json.dumps(secret)

    async def asked_by(self, wanted: int) -> int:
        """How many calls a thousand wishes, one after another and all at once, have cost by now."""
        for number in range(wanted // 2):
            await self.keys.pepper(f"u{number}")
        await asyncio.gather(*(self.keys.pepper(f"v{number}") for number in range(wanted // 2)))
        return self.client.asked


@pytest.fixture
def world() -> Keys:
    return Keys()


# One question, however many want to know


async def test_two_hundred_cold_requests_ask_once(world: Keys) -> None:
    rings = await asyncio.gather(*(world.keys.keyring() for _ in range(200)))

    assert world.client.asked == 1
    assert all(ring is rings[0] for ring in rings)


async def test_two_hundred_requests_after_five_minutes_ask_once_more(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(300)

    await asyncio.gather(*(world.keys.keyring() for _ in range(200)))

    assert world.client.asked == 2


async def test_two_hundred_cold_requests_in_an_outage_ask_once_and_all_hear_of_it(world: Keys) -> None:
    world.client.error = SILENT

    answers = await asyncio.gather(*(world.keys.keyring() for _ in range(200)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {KeysUnavailable}
    assert world.client.asked == 1


async def test_a_request_after_a_failed_one_asks_again(world: Keys) -> None:
    world.client.error = THROTTLED
    with pytest.raises(KeysUnavailable):
        await world.keys.keyring()
    world.client.error = None

    assert (await world.keys.keyring()).current == "k1"
    assert world.client.asked == 2


async def test_where_anybody_may_make_us_ask_a_missing_secret_is_asked_for_once_in_thirty_seconds(world: Keys) -> None:
    secret = CachedSecret(world.client, NAME, world.clock, failure_stands=30)
    world.client.error = DENIED

    for _ in range(29):
        with pytest.raises(KeysUnavailable, match="AccessDenied"):
            await secret.value()
        world.clock.advance(1)
    assert world.client.asked == 1

    world.client.error = None
    world.clock.advance(1)
    assert await secret.value() == KEYS
    assert world.client.asked == 2


async def test_a_request_whose_neighbour_was_cut_off_asks_for_itself(world: Keys) -> None:
    first, second = (asyncio.ensure_future(world.keys.keyring()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).current == "k1"
    assert first.cancelled()


async def test_a_secret_is_fresh_for_five_minutes(world: Keys) -> None:
    await world.cached.value()
    world.clock.advance(299)
    await world.cached.value()
    assert world.client.asked == 1

    world.clock.advance(1)
    await world.cached.value()
    assert world.client.asked == 2


async def test_a_secret_may_be_fresh_for_less() -> None:
    client, clock = FakeSecretsManager("{}"), ManualClock()
    callers = CachedSecret(client, NAME, clock, fresh_for=60)
    await callers.value()
    clock.advance(60)

    await callers.value()

    assert client.asked == 2


async def test_an_empty_secret_is_a_secret_too() -> None:
    client = FakeSecretsManager("{}")
    cached = CachedSecret(client, NAME, ManualClock())

    assert [await cached.value(), await cached.value()] == [{}, {}]
    assert client.asked == 1


async def test_a_secret_that_was_read_is_not_shown_by_accident(world: Keys) -> None:
    await world.keys.keyring()

    shown = f"{world.cached} {world.keys!r}"
    assert NAME in shown
    assert not [part for part in (ONE, str(derive(ONE, "pepper")), derive(ONE, "index").hex()) if part in shown]


# Key ids that are not there


async def test_a_known_key_id_asks_for_nothing_more(world: Keys) -> None:
    for _ in range(100):
        assert await world.keys.pepper("k1") == derive(ONE, "pepper")

    assert world.client.asked == 1


async def test_a_thousand_unknown_key_ids_ask_once_in_thirty_seconds(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(1)

    assert await world.asked_by(1000) == 2
    world.clock.advance(29)
    assert await world.asked_by(1000) == 2
    world.clock.advance(1)
    assert await world.asked_by(1000) == 3


async def test_unknown_key_ids_in_an_outage_ask_once_in_thirty_seconds_too(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(1)
    world.client.error = SILENT

    assert await world.asked_by(1000) == 2


async def test_an_unknown_key_id_has_no_pepper(world: Keys) -> None:
    assert await world.keys.pepper("k9") is None


@pytest.mark.parametrize("role", ["pepper", "index"])
async def test_a_roles_name_is_no_key_id(world: Keys, role: str) -> None:
    assert await world.keys.pepper(role) is None


# Rotation


async def test_a_rotated_pepper_is_found_at_once(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(1)
    world.store(**ROTATED)

    assert await world.keys.pepper("k2") == derive(TWO, "pepper")
    assert (await world.keys.keyring()).current == "k2"


async def test_a_rotated_pepper_is_found_by_all_who_ask_at_once(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(1)
    world.store(**ROTATED)

    found = await asyncio.gather(*(world.keys.pepper("k2") for _ in range(200)))

    assert set(found) == {derive(TWO, "pepper")}
    assert world.client.asked == 2


async def test_a_rotated_pepper_is_found_half_a_minute_after_a_made_up_id_at_the_latest(world: Keys) -> None:
    await world.keys.keyring()
    world.clock.advance(1)
    await world.keys.pepper("made")
    world.store(**ROTATED)

    assert await world.keys.pepper("k2") is None
    world.clock.advance(30)
    assert await world.keys.pepper("k2") == derive(TWO, "pepper")


async def test_a_new_pepper_makes_codes_within_five_minutes(world: Keys) -> None:
    await world.keys.keyring()
    world.store(**ROTATED)
    world.clock.advance(300)

    assert (await world.keys.keyring()).current == "k2"


async def test_codes_of_the_pepper_before_can_still_be_checked(world: Keys) -> None:
    world.store(**ROTATED)

    assert await world.keys.pepper("k1") == derive(ONE, "pepper")


async def test_a_pepper_that_was_taken_away_is_gone_within_five_minutes() -> None:
    world = Keys(**ROTATED)
    assert await world.keys.pepper("k1") is not None
    world.store(pepper="k2", index="k2", k2=TWO)
    world.clock.advance(300)

    assert await world.keys.pepper("k1") is None


def test_another_pepper_leaves_the_index_key_alone() -> None:
    assert (
        parse_keyring(ROTATED, NAME, now=MORNING).index
        == parse_keyring(KEYS, NAME, now=MORNING).index
        == derive(ONE, "index")
    )


def test_a_keyring_has_a_pepper_of_every_entry_and_one_index_key() -> None:
    ring = parse_keyring(ROTATED, NAME, now=MORNING)

    assert ring == Keyring("k2", {"k1": derive(ONE, "pepper"), "k2": derive(TWO, "pepper")}, derive(ONE, "index"))
    assert ring.index_before is None
    assert len({*ring.peppers.values(), ring.index}) == 3


def test_while_the_index_key_changes_the_one_before_is_known() -> None:
    ring = parse_keyring(REINDEXED, NAME, now=MORNING)

    assert (ring.index, ring.index_before) == (derive(TWO, "index"), derive(ONE, "index"))


async def test_the_index_key_changes_for_all_in_the_same_second_however_late_they_read_of_it() -> None:
    early, late = Keys(**ROTATED), Keys(**ROTATED)
    for world in (early, late):
        await world.keys.keyring()
        world.store(**REINDEXED, index_from=MORNING + 600)
    early.clock.advance(300)
    late.clock.advance(599)

    assert (await early.keys.keyring()).index == (await late.keys.keyring()).index == derive(ONE, "index")
    assert (await early.keys.keyring()).index_before is None

    early.clock.advance(300)
    late.clock.advance(1)
    assert await early.keys.keyring() == await late.keys.keyring() == parse_keyring(REINDEXED, NAME, now=MORNING)


# Outages


@pytest.mark.parametrize("error", [DENIED, THROTTLED, UNREACHABLE, SILENT], ids=lambda error: type(error).__name__)
async def test_an_outage_keeps_the_last_good_value(world: Keys, error: Exception) -> None:
    before = await world.keys.keyring()
    world.client.error = error
    world.clock.advance(3600)

    assert await world.keys.keyring() is before


async def test_an_outage_is_told_to_the_log(world: Keys, caplog: pytest.LogCaptureFixture) -> None:
    await world.keys.keyring()
    world.client.error = SILENT
    world.clock.advance(3600)

    await world.keys.keyring()

    assert "its last value is used on" in caplog.text


async def test_an_outage_is_asked_about_every_five_minutes_only(world: Keys) -> None:
    await world.keys.keyring()
    world.client.error = SILENT
    for _ in range(600):
        world.clock.advance(1)
        await world.keys.keyring()

    assert world.client.asked == 3


async def test_after_an_outage_the_new_value_is_found(world: Keys) -> None:
    await world.keys.keyring()
    world.client.error = SILENT
    world.clock.advance(300)
    await world.keys.keyring()
    world.client.error = None
    world.store(**ROTATED)
    world.clock.advance(300)

    assert (await world.keys.keyring()).current == "k2"


async def test_a_secret_that_became_unreadable_keeps_the_last_good_value(world: Keys) -> None:
    before = await world.keys.keyring()
    world.client.text = '{"pepper": '
    world.clock.advance(300)

    assert await world.keys.keyring() is before


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DENIED, "AccessDeniedException"),
        (THROTTLED, "ThrottlingException"),
        (UNREACHABLE, "EndpointConnectionError"),
        (SILENT, "ReadTimeoutError"),
    ],
)
async def test_a_cold_outage_names_the_secret_and_the_reason(world: Keys, error: Exception, reason: str) -> None:
    world.client.error = error

    with pytest.raises(KeysUnavailable) as caught:
        await world.keys.keyring()

    assert str(caught.value) == f"secret {NAME}: {reason}"
    assert caught.value.__suppress_context__


# Malformed secrets


@pytest.mark.parametrize(
    "text",
    ["", "{", ONE, f'{{"pepper": "k1" "{ONE}"}}', f'["{ONE}"]', f'"{ONE}"', "null", "1", "NaN"],
    ids=lambda text: ascii(text[:12]),
)
async def test_a_secret_that_is_no_json_object_is_named_and_not_shown(text: str) -> None:
    cached = CachedSecret(FakeSecretsManager(text), NAME, ManualClock())

    with pytest.raises(KeysUnavailable, match=NAME) as caught:
        await cached.value()

    assert ONE not in f"{caught.value!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_binary_secret_is_named_and_not_shown() -> None:
    cached = CachedSecret(BinarySecret(json.dumps(KEYS)), NAME, ManualClock())

    with pytest.raises(KeysUnavailable, match=NAME):
        await cached.value()


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "pepper must name"),
    "no roles": ({"k1": ONE}, "pepper must name"),
    "no pepper": ({"index": "k1", "k1": ONE}, "pepper must name"),
    "no index": ({"pepper": "k1", "k1": ONE}, "index must name"),
    "a pepper that is not there": ({**KEYS, "pepper": "k2"}, "pepper must name"),
    "an index that is not there": ({**KEYS, "index": "k2"}, "index must name"),
    "a role that names a role": ({**KEYS, "pepper": "index"}, "pepper must name"),
    "the pepper itself for its name": ({**KEYS, "pepper": ONE}, "pepper must name"),
    "a list for a name": ({**KEYS, "pepper": ["k1"]}, "pepper must name"),
    "an object for a name": ({**KEYS, "index": {"k1": ONE}}, "index must name"),
    "null for a name": ({**KEYS, "pepper": None}, "pepper must name"),
    "a short entry": ({**KEYS, "k1": ONE[:-1]}, "k1 must be at least 43"),
    "an empty entry": ({**KEYS, "k2": ""}, "k2 must be at least 43"),
    "a number for an entry": ({**KEYS, "k2": 10**60}, "k2 must be at least 43"),
    "a list for an entry": ({**KEYS, "k2": [ONE] * 43}, "k2 must be at least 43"),
    "null for an entry": ({**KEYS, "k2": None}, "k2 must be at least 43"),
    "two short entries": ({**KEYS, "k3": "x", "k2": "y"}, "k2, k3 must be at least 43"),
    "an index before that is not there": ({**KEYS, "index_before": "k0"}, "index_before must name"),
    "null for an index before": ({**KEYS, "index_before": None}, "index_before must name"),
    "a time without an index before": ({**KEYS, "index_from": 1}, "index_from must be seconds since 1970"),
    "a text for a time": ({**REINDEXED, "index_from": "1"}, "index_from must be seconds since 1970"),
    "true for a time": ({**REINDEXED, "index_from": True}, "index_from must be seconds since 1970"),
    "null for a time": ({**REINDEXED, "index_from": None}, "index_from must be seconds since 1970"),
    "a misnamed entry": ({**KEYS, "K-2": TWO}, "1 to 8 of a-z and 0-9"),
    "name and entry exchanged": ({"pepper": "k1", "index": "k1", ONE: "k1"}, "1 to 8 of a-z and 0-9"),
}


@pytest.mark.parametrize(("secret", "problem"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_keyring_is_named_and_its_content_is_not_shown(secret: dict[str, Any], problem: str) -> None:
    with pytest.raises(KeysUnavailable, match=problem) as caught:
        parse_keyring(secret, NAME, now=MORNING)

    shown = f"{caught.value!r}"
    assert NAME in shown
    assert not [part for part in (ONE, ONE[:-1], TWO) if part in shown]


@given(
    secret=st.dictionaries(
        st.sampled_from(["pepper", "index", "index_before", "index_from", "k1", "k2", "K1", ""]) | st.text(max_size=9),
        st.sampled_from(["k1", "k2", ONE, TWO, None, 1, 2**31, True, [], ["k1"], {}, {"k1": "k1"}]) | st.text(),
        max_size=5,
    )
)
def test_any_object_is_a_keyring_or_unavailable(secret: dict[str, Any]) -> None:
    try:
        ring = parse_keyring(secret, NAME, now=MORNING)
    except KeysUnavailable:
        return
    assert ring.peppers[ring.current] == derive(secret[secret["pepper"]], "pepper")
    changing = secret.get("index_from", 0) > MORNING
    assert ring.index == derive(secret[secret["index_before" if changing else "index"]], "index")


# The other secrets


async def test_a_text_of_a_secret_is_not_shown_by_accident() -> None:
    text = await text_in(CachedSecret(FakeSecretsManager('{"apikey": "abc"}'), NAME, ManualClock()), "apikey")

    assert text.reveal() == "abc"
    assert "abc" not in f"{text} {text!r}"


@pytest.mark.parametrize("secret", [{}, {"apikey": ""}, {"apikey": None}, {"apikey": 1}, {"apikey": [ONE]}])
async def test_a_text_that_is_missing_is_named(secret: dict[str, Any]) -> None:
    cached = CachedSecret(FakeSecretsManager(json.dumps(secret)), NAME, ManualClock())

    with pytest.raises(KeysUnavailable) as caught:
        await text_in(cached, "apikey")

    assert str(caught.value) == f"secret {NAME}: apikey is missing"
