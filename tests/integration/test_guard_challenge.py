"""Challenges: who has to solve one, what a solution is good for, and what whoever lacks one is told."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import altcha
import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from aiohttp.test_utils import TestServer

from functions.domain.errors import ChallengeRequired
from functions.domain.guard.attempt import Attempt
from functions.domain.guard.decision import Finding, Mode, Rule, Said
from functions.domain.guard.policy import Policy
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.hooks.altcha import LIFETIME
from functions.hooks.verifier import HttpVerifier
from functions.stores.dynamodb import Table
from functions.stores.guard_solutions import DynamoSolutions
from functions.usecases.guards.challenge import AlwaysChallenge
from functions.usecases.ports import HookUnavailable
from functions.usecases.start import StartCommand
from infra.local.embedded_aws import Resources
from tests.harness import MORNING, UNLIMITED, Harness, assert_problem, call, fresh_number

CHALLENGED = Policy(challenge=True)


@dataclass(slots=True)
class Says:
    """A check with an opinion of its own."""

    finding: Finding
    asked: int = 0
    gave_back: int = 0

    async def look(self, attempt: Attempt) -> Sequence[Finding]:
        self.asked += 1
        return [self.finding]

    async def give_back(self, attempt: Attempt) -> None:
        self.gave_back += 1


SPRAYING = Finding(rule=Rule.SPRAYING, said=Said.CHALLENGE)


@pytest.fixture
def challenged(harness: Harness) -> Harness:
    """Asks a challenge of every start."""
    harness.change_service(guard=CHALLENGED, **UNLIMITED)
    harness.checks = [AlwaysChallenge()]
    return harness


async def solution(harness: Harness, to: PhoneNumber, service: str = "default") -> Sensitive:
    """As a browser gets it and solves it."""
    response = await call(harness.app, "POST", "/v1/challenges", {"to": to.e164, "service": service})
    assert response.status == 200
    challenge = altcha.Challenge.from_dict(response.json)
    solved = altcha.solve_challenge(challenge)
    assert solved is not None
    return Sensitive(altcha.Payload(challenge, solved).to_base64())


async def start(harness: Harness, to: PhoneNumber, challenge: Sensitive | None = None, **more: Any) -> bool:
    """Whether the guard let it through."""
    command = StartCommand(to=to, service="default", caller="test", challenge=challenge, **more)
    try:
        await harness.start(command)
    except ChallengeRequired:
        return False
    return True


async def test_a_start_without_a_solution_is_told_what_to_do(challenged: Harness) -> None:
    response = await call(challenged.app, "POST", "/v1/verifications", {"to": fresh_number().e164})

    assert (response.status, response.json["code"]) == (403, "challenge_required")
    assert response.json["reason"] == "challenge"
    assert response.json["challenge"] == {"kind": "altcha", "from": "/v1/challenges"}


async def test_a_solution_lets_a_start_through(challenged: Harness) -> None:
    to = fresh_number()
    solved = await solution(challenged, to)

    response = await call(challenged.app, "POST", "/v1/verifications", {"to": to.e164, "challenge": solved.reveal()})

    assert response.status == 201
    assert [finding.said for finding in challenged.decisions.kept[-1].findings] == [Said.SOLVED]


async def test_abu11_of_a_hundred_starts_with_one_solution_one_is_accepted(challenged: Harness) -> None:
    to = fresh_number()
    solved = await solution(challenged, to)

    accepted = await asyncio.gather(*(start(challenged, to, solved) for _ in range(100)))

    assert sum(accepted) == 1
    assert len(challenged.provider.sent_to(to)) == 1


async def test_abu11_a_solution_for_another_number_is_accepted_0_times_of_100(challenged: Harness) -> None:
    solved = await solution(challenged, fresh_number())

    accepted = [await start(challenged, fresh_number(), solved) for _ in range(100)]

    assert not any(accepted)
    assert challenged.provider.messages == []


async def test_abu11_an_expired_solution_is_accepted_0_times_of_100(challenged: Harness) -> None:
    to = fresh_number()
    solved = await solution(challenged, to)

    challenged.clock.advance(LIFETIME + 1)
    accepted = [await start(challenged, to, solved) for _ in range(100)]

    assert not any(accepted)


async def test_a_solution_that_was_not_asked_for_is_not_looked_at(harness: Harness) -> None:
    to = fresh_number()

    assert await start(harness, to, Sensitive("nonsense"))


async def test_a_request_that_is_repeated_has_its_solution_still(challenged: Harness) -> None:
    to = fresh_number()
    solved = await solution(challenged, to)
    request = {"to": to.e164, "challenge": solved.reveal()}
    challenged.provider.script = [lambda _: (_ for _ in ()).throw(ConnectionError())]
    headers = {"idempotency-key": secrets.token_hex(8)}

    died = await call(challenged.app, "POST", "/v1/verifications", request, headers=headers)
    challenged.clock.advance(60)
    again = await call(challenged.app, "POST", "/v1/verifications", request, headers=headers)

    assert died.status == 500
    assert again.json.get("code") != "challenge_required"
    assert again.status == 201


async def test_whoever_was_refused_repeats_the_start_with_a_solution_under_the_same_idempotency_key(
    challenged: Harness,
) -> None:
    to, headers = fresh_number(), {"idempotency-key": secrets.token_hex(8)}
    refused = await call(challenged.app, "POST", "/v1/verifications", {"to": to.e164}, headers=headers)
    solved = await solution(challenged, to)

    request = {"to": to.e164, "challenge": solved.reveal()}
    repeated = await call(challenged.app, "POST", "/v1/verifications", request, headers=headers)

    assert (refused.status, repeated.status) == (403, 201)


async def test_the_decision_tells_that_a_challenge_was_asked_for(challenged: Harness) -> None:
    assert not await start(challenged, fresh_number())

    assert challenged.decisions.kept[-1].outcome == "challenged"
    assert challenged.journal.of("decision")[-1]["rule"] == "challenge"


class TestARuleThatAsksForAChallenge:
    async def test_refuses_whoever_brings_none(self, harness: Harness) -> None:
        harness.checks = [Says(SPRAYING)]

        assert not await start(harness, fresh_number())

    async def test_is_lifted_by_a_solution(self, harness: Harness) -> None:
        harness.checks, to = [Says(SPRAYING)], fresh_number()

        assert await start(harness, to, await solution(harness, to))

    async def test_is_answered_together_with_all_others_by_one_solution(self, harness: Harness) -> None:
        harness.change_service(guard=CHALLENGED)
        risk = Says(Finding(rule=Rule.RISK, said=Said.CHALLENGE))
        harness.checks, to = [Says(SPRAYING), AlwaysChallenge(), risk], fresh_number()

        assert await start(harness, to, await solution(harness, to))

        assert [finding.said for finding in harness.decisions.kept[-1].findings] == [Said.SOLVED] * 3

    async def test_does_not_decide_where_it_only_watches(self, harness: Harness) -> None:
        harness.checks = [Says(Finding(rule=Rule.SPRAYING, said=Said.CHALLENGE, mode=Mode.MONITOR))]

        assert await start(harness, fresh_number())

    async def test_lifts_no_denial(self, challenged: Harness) -> None:
        counting = Says(Finding(rule=Rule.IP, said=Said.PASS))
        denial = Says(Finding(rule=Rule.UNCONVERTED_1K, said=Said.DENY))
        challenged.checks, to = [counting, AlwaysChallenge(), denial], fresh_number()
        solved = await solution(challenged, to)

        response = await call(
            challenged.app, "POST", "/v1/verifications", {"to": to.e164, "challenge": solved.reveal()}
        )

        assert (response.json["code"], response.json["reason"]) == ("blocked_by_guard", "unconverted_1k")
        assert counting.gave_back == 1

    async def test_gives_back_what_was_counted_before_it(self, challenged: Harness) -> None:
        counting = Says(Finding(rule=Rule.IP, said=Said.PASS))
        challenged.checks = [counting, AlwaysChallenge()]

        assert not await start(challenged, fresh_number())

        assert counting.gave_back == 1


class TestTheAddressThatMakesChallenges:
    async def test_needs_a_key(self, harness: Harness) -> None:
        response = await call(harness.app, "POST", "/v1/challenges", {"to": fresh_number().e164}, key=None)

        assert_problem(response, 401, "unauthorized")

    async def test_makes_none_for_a_service_that_is_not_there(self, harness: Harness) -> None:
        response = await call(harness.app, "POST", "/v1/challenges", {"to": fresh_number().e164, "service": "none"})

        assert_problem(response, 422, "invalid_request")

    async def test_makes_none_for_a_service_with_a_verifier_of_its_own(self, harness: Harness) -> None:
        harness.change_service(guard=Policy(challenge_url="https://verifier.example/siteverify"))

        response = await call(harness.app, "POST", "/v1/challenges", {"to": fresh_number().e164})

        assert_problem(response, 422, "invalid_request")

    async def test_tells_nobody_the_number(self, harness: Harness) -> None:
        to = fresh_number()

        response = await call(harness.app, "POST", "/v1/challenges", {"to": to.e164})

        assert to.e164[1:].encode() not in response.body


class TestUsedSolutions:
    @pytest.fixture
    def solutions(self, dynamodb: Any, resources: Resources) -> DynamoSolutions:
        return DynamoSolutions(Table(dynamodb, resources.table))

    async def test_are_taken_by_one_request_of_many_at_once(self, solutions: DynamoSolutions) -> None:
        name = f"solution {fresh_number().e164}"

        taken = await asyncio.gather(*(solutions.take(name, f"r{n}", until=MORNING) for n in range(50)))

        assert sum(taken) == 1

    async def test_can_be_taken_again_by_the_same_request(self, solutions: DynamoSolutions) -> None:
        name = f"solution {fresh_number().e164}"

        assert [await solutions.take(name, "r", until=MORNING) for _ in range(2)] == [True, True]


@dataclass(slots=True)
class Verifying:
    """A verifier in the form of Turnstile's."""

    good: str = "token"
    status: int = 200
    body: str | None = None
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(await request.post()))
        ours = self.asked[-1]["secret"] == "shared secret"
        errors = [] if ours else ["invalid-input-secret"]
        success = ours and self.asked[-1]["response"] == self.good
        said = json.dumps({"success": success, "error-codes": errors}) if self.body is None else self.body
        return web.Response(status=self.status, body=said.encode(), content_type="application/json")


@pytest.fixture
async def verifying() -> AsyncIterator[tuple[Verifying, str]]:
    behaviour, app = Verifying(), web.Application()
    app.router.add_post("/siteverify", behaviour.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield behaviour, str(server.make_url("/siteverify"))


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session


class TestAVerifierOfSomebodyElses:
    @pytest.fixture
    def asking(self, challenged: Harness, verifying: tuple[Verifying, str], session: ClientSession) -> Harness:
        async def secret() -> Mapping[str, Any]:
            return {"*": "shared secret"}

        challenged.change_service(guard=Policy(challenge=True, challenge_url=verifying[1]))
        challenged.verifier = HttpVerifier(secret, lambda: session, challenged.journal)
        return challenged

    async def test_is_asked_for_its_verdict(self, asking: Harness, verifying: tuple[Verifying, str]) -> None:
        verifying[0].good = f"token {fresh_number().e164}"

        assert await start(asking, fresh_number(), Sensitive(verifying[0].good), ip=ip_address("192.0.2.7"))

        assert verifying[0].asked == [
            {"secret": "shared secret", "response": verifying[0].good, "remoteip": "192.0.2.7"}
        ]

    async def test_is_asked_of_tokens_as_long_as_hcaptchas(
        self, asking: Harness, verifying: tuple[Verifying, str]
    ) -> None:
        verifying[0].good = fresh_number().e164[1:].ljust(5000, "x")

        start = {"to": fresh_number().e164, "challenge": verifying[0].good}
        response = await call(asking.app, "POST", "/v1/verifications", start)

        assert response.status == 201

    async def test_is_asked_once_however_many_rules_want_a_challenge(
        self, asking: Harness, verifying: tuple[Verifying, str]
    ) -> None:
        verifying[0].good = f"token {fresh_number().e164}"
        asking.checks = [Says(SPRAYING), AlwaysChallenge()]

        assert await start(asking, fresh_number(), Sensitive(verifying[0].good))

        assert len(verifying[0].asked) == 1

    async def test_refuses_what_was_not_solved(self, asking: Harness) -> None:
        assert not await start(asking, fresh_number(), Sensitive("another"))

    async def test_that_says_yes_to_one_token_over_and_over_lets_one_start_through(
        self, asking: Harness, verifying: tuple[Verifying, str]
    ) -> None:
        verifying[0].good = f"token {fresh_number().e164}"

        accepted = await asyncio.gather(
            *(start(asking, fresh_number(), Sensitive(verifying[0].good)) for _ in range(20))
        )

        assert sum(accepted) == 1

    async def test_is_not_asked_without_a_solution(self, asking: Harness, verifying: tuple[Verifying, str]) -> None:
        assert not await start(asking, fresh_number())

        assert verifying[0].asked == []

    async def test_that_does_not_answer_lets_nobody_through(
        self, asking: Harness, verifying: tuple[Verifying, str]
    ) -> None:
        verifying[0].status, verifying[0].body = 502, "<html>"

        with pytest.raises(HookUnavailable):
            await start(asking, fresh_number(), Sensitive("token"))

    async def test_that_does_not_answer_is_an_outage_to_the_caller(
        self, asking: Harness, verifying: tuple[Verifying, str]
    ) -> None:
        verifying[0].status, verifying[0].body = 502, "<html>"

        response = await call(
            asking.app, "POST", "/v1/verifications", {"to": fresh_number().e164, "challenge": "token"}
        )

        assert_problem(response, 503, "unavailable")

    async def test_is_named_to_whoever_lacks_a_solution(self, asking: Harness) -> None:
        response = await call(asking.app, "POST", "/v1/verifications", {"to": fresh_number().e164})

        assert response.json["challenge"] == {"kind": "external"}

    async def test_that_refuses_our_secret_shows_in_the_journal(
        self, asking: Harness, verifying: tuple[Verifying, str], session: ClientSession
    ) -> None:
        async def stale() -> Mapping[str, Any]:
            return {"default": "old secret"}

        asking.verifier = HttpVerifier(stale, lambda: session, asking.journal)

        assert not await start(asking, fresh_number(), Sensitive("token"))

        assert asking.journal.of("challenge")[0]["reason"] == "invalid-input-secret"

    async def test_shows_neither_token_nor_secret_in_a_log(
        self, asking: Harness, verifying: tuple[Verifying, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)

        assert not await start(asking, fresh_number(), Sensitive("a token that is seen nowhere"))

        told = [caplog.text, str(asking.journal.lines), repr(asking.decisions.kept), repr(asking.verifier)]
        assert verifying[0].asked
        assert not [text for text in told if "shared secret" in text or "seen nowhere" in text]
