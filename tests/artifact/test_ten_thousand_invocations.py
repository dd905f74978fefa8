"""A sandbox lives for hours: what it holds after ten thousand invocations is what it held after one thousand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.artifact import BUILD
from infra.local.embedded_aws import Resources
from infra.local.emulator import EmulatedEnvironment
from infra.local.proc import Usage
from tests import event_files
from tests.emulated import API, RECEIPTS, SENDER, emulated
from tests.gateway import Gateway
from tests.harness import another, fresh_number
from tests.lambda_events import ALL_DONE, body_of

INVOCATIONS, FEWER = 10_000, 2000
EVERY = 1000
"""Invocations between two looks at the process. The first look comes when it is warm."""
GROWTH = 2 * 1024 * 1024
"""Bytes. An API function that kept 233 of each invocation would be over it; it grows by 0.9 MB."""
SOCKETS = 2
"""A connection may just be closed and made anew when we look."""

LAST_WORDS = 3000
"""Characters of a function's log that say why it failed."""

LEAKING = "leaking"
DRIVERS = Path(__file__).parent / "drivers"
MODULES = {
    API: "functions.handlers.api",
    SENDER: "functions.handlers.sender",
    RECEIPTS: "functions.handlers.receipts",
    LEAKING: "leaking",
}

pytestmark = pytest.mark.timeout(400)


@dataclass(slots=True)
class Life:
    """A sandbox and what it held, look by look."""

    function: EmulatedEnvironment
    invocations: int = 0
    usages: list[Usage] = field(default_factory=list)
    most_tasks: int = 0

    async def invoke(self, event: Any) -> Any:
        told = await self.function.invoke(event)
        self.invocations += 1
        self.most_tasks = max(self.most_tasks, told["tasks"])
        if self.invocations % EVERY == 0:
            self.usages.append(self.function.usage())
        return told["answer"]

    @property
    def growth(self) -> int:
        return self.usages[-1].resident - self.usages[0].resident

    @property
    def more_descriptors(self) -> int:
        return self.usages[-1].descriptors - self.usages[0].descriptors


Turn = Callable[[Life], Awaitable[None]]


def a_verification(gateway: Gateway) -> Turn:
    """Ten invocations: an application asks seven times how it stands, until its person has typed the code in."""

    async def turn(life: Life) -> None:
        number = fresh_number()
        started = await life.invoke(event_files.start(number.e164))
        verification, code = body_of(started)["id"], await gateway.code_for(number)
        shown = [await life.invoke(event_files.http("http_status", id=verification)) for _ in range(7)]
        wrong = await life.invoke(event_files.check(verification, another(code)))
        right = await life.invoke(event_files.check(verification, code))
        statuses = [answer["statusCode"] for answer in (started, *shown, wrong, right)]
        assert statuses == [201] + [200] * 9, life.function.log()[-LAST_WORDS:]
        assert body_of(right)["valid"] is True

    return turn


async def a_message(life: Life) -> None:
    answer = await life.invoke(event_files.batch([fresh_number().e164]))
    assert answer == ALL_DONE, life.function.log()[-LAST_WORDS:]


def a_receipt(token: str) -> Turn:
    """Of a verification that does not exist; the store has to be asked for it all the same."""
    verification = event_files.read("http_status")["pathParameters"]["id"]

    async def turn(life: Life) -> None:
        answer = await life.invoke(event_files.receipt(verification, token))
        assert answer["statusCode"] == 200

    return turn


async def anything(life: Life) -> None:
    await life.invoke({})


@pytest.fixture(scope="module")
async def lives(
    environment: dict[str, str], resources: Resources, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Life]]:
    """All at once, for there is more than one processor. A wrong code for each right one is what sprayers have."""
    services = tmp_path_factory.mktemp("life") / "services.toml"
    services.write_text('[default.guard.modes]\nspraying = "monitor"\n', encoding="utf-8")
    environment = {**environment, "SERVICES_FILE": str(services)}
    turns = {
        API: (a_verification(gateway), INVOCATIONS),
        SENDER: (a_message, FEWER),
        RECEIPTS: (a_receipt(resources.account_token("yunpian")), FEWER),
        LEAKING: (anything, FEWER),
    }
    async with AsyncExitStack() as stack:
        found = {name: Life(await stack.enter_async_context(counted(name, environment))) for name in turns}
        await asyncio.gather(*(live(found[name], turn, until) for name, (turn, until) in turns.items()))
        yield found


def counted(name: str, environment: dict[str, str]) -> Any:
    artefact = API if name == LEAKING else name
    path = os.pathsep.join(map(str, (BUILD / artefact, DRIVERS)))
    return emulated(artefact, {**environment, "PYTHONPATH": path, "COUNTED": MODULES[name]}, handler="counted.handler")


async def live(life: Life, turn: Turn, invocations: int) -> None:
    while life.invocations < invocations:
        await turn(life)


@pytest.mark.parametrize(("name", "invocations"), [(API, INVOCATIONS), (SENDER, FEWER), (RECEIPTS, FEWER)])
class TestManyInvocations:
    def test_are_those_of_one_process(self, lives: dict[str, Life], name: str, invocations: int) -> None:
        assert lives[name].invocations == len(lives[name].function.invocations()) == invocations
        assert len(lives[name].function.inits()) == 1

    def test_take_no_memory_with_them(self, lives: dict[str, Life], name: str, invocations: int) -> None:
        assert len(lives[name].usages) == invocations // EVERY
        assert lives[name].growth < GROWTH

    def test_leave_nothing_open(self, lives: dict[str, Life], name: str, invocations: int) -> None:
        assert lives[name].more_descriptors <= SOCKETS

    def test_leave_no_task_behind(self, lives: dict[str, Life], name: str, invocations: int) -> None:
        assert lives[name].most_tasks == 0


class TestALeakingHandler:
    """Without these, the tests above might be blind."""

    def test_is_caught_with_memory(self, lives: dict[str, Life]) -> None:
        assert lives[LEAKING].growth >= GROWTH

    def test_is_caught_with_open_files(self, lives: dict[str, Life]) -> None:
        assert lives[LEAKING].more_descriptors > SOCKETS

    def test_is_caught_with_tasks(self, lives: dict[str, Life]) -> None:
        assert lives[LEAKING].most_tasks > 0
